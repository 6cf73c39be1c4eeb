"""PayPal's adapter against the PayPal simulator over real HTTP."""

import datetime as dt
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from billing.adapters.paypal import PayPal, PayPalConfig
from billing.adapters.paypal_webhooks import OfflineConfig, OfflineVerifier, OnlineVerifier
from billing.adapters.provider_http import MixedSettings
from billing.domain.money import Money
from billing.ports import (
    AttemptView,
    ProviderMisconfigured,
    ProviderRefused,
    ProviderStatus,
    ProviderUnavailable,
    RefundView,
    SignatureRejected,
)
from simulators.paypal import PayPalConfig as SimulatorConfig
from simulators.paypal import RunningPayPal, start
from simulators.paypal.certificates import Signer, make_signer

pytestmark = pytest.mark.integration
DEFAULT = SimulatorConfig()


@pytest.fixture(scope="module")
def signer() -> Signer:
    return make_signer()


class World:
    """The simulator, our adapter, and a payer."""

    def __init__(self, running: RunningPayPal, http: httpx.AsyncClient) -> None:
        self.running = running
        self.http = http
        self.now = dt.datetime.now(dt.UTC)
        self.paypal = self.adapter()

    def adapter(self, **changes: Any) -> PayPal:
        facts: dict[str, Any] = {
            "base_url": self.running.url,
            "client_id": DEFAULT.client_id,
            "client_secret": DEFAULT.client_secret,
            "merchant_id": DEFAULT.merchant_id,
            "timeout_seconds": 2,
        }
        return PayPal(PayPalConfig(**(facts | changes)), self.http, lambda: self.now)

    def attempt(self, **changes: Any) -> AttemptView:
        payment_id = uuid.uuid4()
        facts: dict[str, Any] = {
            "payment_id": payment_id,
            "reference": f"ORD-2026-{payment_id.hex[:8]}-1",
            "amount": Money(3811, "EUR"),
            "created_at": self.now,
            "provider_reference": None,
            "create_request_id": f"create-{payment_id}-1",
            "capture_request_id": f"capture-{payment_id}-1",
            "description": "Silver, mensuel",
            "return_url": "https://shop.example/back",
            "cancel_url": "https://shop.example/cancel",
        }
        return AttemptView(**(facts | changes))

    async def started(self, **changes: Any) -> AttemptView:
        attempt = self.attempt(**changes)
        return replace(attempt, provider_reference=(await self.paypal.start(attempt)).provider_reference)

    async def approve(self, attempt: AttemptView, decision: str = "approve") -> None:
        form = {"token": attempt.provider_reference, "decision": decision}
        answer = await self.http.post(f"{self.running.url}/checkoutnow", data=form)
        assert answer.status_code == 302

    async def approved(self, **changes: Any) -> AttemptView:
        attempt = await self.started(**changes)
        await self.approve(attempt)
        return attempt

    async def faults(self, *rules: dict[str, Any]) -> None:
        answer = await self.http.put(f"{self.running.url}/_sim/faults", json={"rules": list(rules)})
        assert answer.status_code == 200

    async def requests(self, path: str) -> list[dict[str, Any]]:
        answer = await self.http.get(f"{self.running.url}/_sim/requests", params={"path": path})
        return list(answer.json()["results"])


@pytest.fixture
async def world(signer: Signer) -> AsyncIterator[World]:
    async with httpx.AsyncClient(trust_env=False) as http:
        holder: list[World] = []
        running = await start(SimulatorConfig(signer=signer, clock=lambda: holder[0].now))
        holder.append(World(running, http))
        yield holder[0]
        await running.stop()


async def test_a_payment_goes_from_the_payers_page_to_money(world: World) -> None:
    attempt = world.attempt()
    started = await world.paypal.start(attempt)
    attempt = replace(attempt, provider_reference=started.provider_reference)
    assert started.redirect_url == f"{world.running.url}/checkoutnow?token={started.provider_reference}"
    waiting = await world.paypal.observe(attempt)
    assert (waiting.status, waiting.redirect_url) == (ProviderStatus.PENDING, started.redirect_url)

    await world.approve(attempt)
    paid = await world.paypal.observe(attempt)
    assert (paid.status, paid.amount, paid.payment_id) == (
        ProviderStatus.COMPLETED,
        Money(3811, "EUR"),
        attempt.payment_id,
    )
    assert paid.receipt_reference
    assert paid.mismatch(attempt, world.paypal.payee) is None


@pytest.mark.invariant("S22")
async def test_observing_again_captures_nothing_more(world: World) -> None:
    attempt = await world.approved()
    first = await world.paypal.observe(attempt)
    again = await world.paypal.observe(attempt)
    assert again == first
    assert len(await world.requests("*/capture")) == 1


@pytest.mark.invariant("S21")
@pytest.mark.parametrize(
    ("change", "fact"),
    [
        ({"amount": Money(3812, "EUR")}, "amount"),
        ({"amount": Money(3811, "USD")}, "currency"),
        ({"provider_reference": "OTHER"}, "reference"),
        ({"payment_id": uuid.uuid4()}, "payment_id"),
    ],
    ids=["amount", "currency", "reference", "payment_id"],
)
async def test_a_fact_that_differs_is_named(world: World, change: dict[str, Any], fact: str) -> None:
    attempt = await world.approved()
    paid = await world.paypal.observe(attempt)
    assert paid.mismatch(replace(attempt, **change), world.paypal.payee) == fact
    assert paid.mismatch(attempt, "ANOTHERPAYEE2") == "payee"


@pytest.mark.invariant("S21")
async def test_an_approved_order_for_another_sum_is_not_captured(world: World) -> None:
    attempt = await world.approved()
    state = await world.paypal.observe(replace(attempt, amount=Money(1, "EUR")))
    assert (state.status, state.needs_operator, state.reason_code) == (ProviderStatus.UNKNOWN, True, "order_mismatch")
    assert await world.requests("*/capture") == []


async def test_a_create_whose_answer_was_lost_is_repeated_as_the_same_order(world: World) -> None:
    await world.faults({"match": {"method": "POST", "path": "/v2/checkout/orders"}, "drop": "after", "times": 1})
    attempt = world.attempt()
    with pytest.raises(ProviderUnavailable):
        await world.paypal.start(attempt)
    assert (await world.paypal.observe(attempt)).not_received
    started = await world.paypal.start(attempt)
    assert list(world.running.paypal.store.orders) == [started.provider_reference]


async def test_after_six_hours_a_create_is_not_repeated_blindly(world: World) -> None:
    attempt = world.attempt()
    world.now += dt.timedelta(hours=6, seconds=1)
    with pytest.raises(ProviderRefused, match="create_key_expired"):
        await world.paypal.start(attempt)
    state = await world.paypal.observe(attempt)
    assert (state.status, state.reason_code) == (ProviderStatus.FAILED, "ORDER_NEVER_CREATED")


async def test_starting_a_started_payment_finds_its_order(world: World) -> None:
    attempt = await world.started()
    world.now += dt.timedelta(hours=2)
    again = await world.paypal.start(attempt)
    assert again.provider_reference == attempt.provider_reference
    assert again.redirect_url is not None
    assert len(world.running.paypal.store.orders) == 1


async def test_a_capture_whose_answer_was_lost_is_found_in_the_order(world: World) -> None:
    attempt = await world.approved()
    await world.faults({"match": {"path": "*/capture"}, "drop": "after", "times": 1})
    with pytest.raises(ProviderUnavailable):
        await world.paypal.observe(attempt)
    assert (await world.paypal.observe(attempt)).status is ProviderStatus.COMPLETED


async def test_a_capture_that_another_made_first_counts_as_done(world: World) -> None:
    attempt = await world.approved()
    stale = (await world.http.get(f"{world.running.url}/_sim/requests")).status_code
    order = world.running.paypal.store.find(attempt.provider_reference or "")
    before = world.running.paypal.store.order_body(order)
    world.running.paypal.store.capture(order, "another-key", {})
    await world.faults({"match": {"method": "GET", "path": "/v2/*"}, "status": 200, "body": before, "times": 1})
    state = await world.paypal.observe(attempt)
    assert (stale, state.status) == (200, ProviderStatus.COMPLETED)
    assert [one["status"] for one in await world.requests("*/capture")] == [422]


async def test_a_declined_instrument_is_pending_with_a_way_back(world: World) -> None:
    attempt = await world.approved()
    await world.faults({"match": {"path": "*/capture"}, "effect": {"issue": "INSTRUMENT_DECLINED"}, "times": 1})
    declined = await world.paypal.observe(attempt)
    assert (declined.status, declined.reason_code) == (ProviderStatus.PENDING, "INSTRUMENT_DECLINED")
    assert declined.renew_capture_key
    assert declined.redirect_url == f"{world.running.url}/checkoutnow?token={attempt.provider_reference}"
    await world.approve(attempt)
    again = replace(attempt, capture_request_id=f"capture-{attempt.payment_id}-2")
    assert (await world.paypal.observe(again)).status is ProviderStatus.COMPLETED


@pytest.mark.parametrize(
    ("issue", "status", "operator"),
    [
        ("MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED", ProviderStatus.FAILED, False),
        ("TRANSACTION_REFUSED", ProviderStatus.FAILED, False),
        ("PAYER_CANNOT_PAY", ProviderStatus.FAILED, False),
        ("PAYEE_BLOCKED_TRANSACTION", ProviderStatus.UNKNOWN, True),
        ("ORDER_COMPLETION_IN_PROGRESS", ProviderStatus.PROCESSING, False),
    ],
)
async def test_each_refused_capture_has_its_meaning(
    world: World, issue: str, status: ProviderStatus, operator: bool
) -> None:
    attempt = await world.approved()
    await world.faults({"match": {"path": "*/capture"}, "effect": {"issue": issue}})
    state = await world.paypal.observe(attempt)
    assert (state.status, state.needs_operator, state.reason_code) == (status, operator, issue)


@pytest.mark.parametrize(
    ("reason", "operator"), [("ECHECK", False), ("UNILATERAL", True), ("A_REASON_OF_TOMORROW", False)]
)
async def test_a_completed_order_with_a_pending_capture_is_not_money(world: World, reason: str, operator: bool) -> None:
    attempt = await world.approved()
    await world.faults({"match": {"path": "*/capture"}, "effect": {"capture": "PENDING", "reason": reason}})
    state = await world.paypal.observe(attempt)
    assert (state.status, state.provider_status) == (ProviderStatus.PROCESSING, "COMPLETED/PENDING")
    assert (state.reason_code, state.needs_operator) == (reason, operator)
    await world.http.post(f"{world.running.url}/_sim/captures/{state.receipt_reference}", json={"status": "DECLINED"})
    assert (await world.paypal.observe(attempt)).status is ProviderStatus.FAILED


async def test_an_unknown_capture_state_is_unknown(world: World) -> None:
    attempt = await world.approved()
    await world.faults({"match": {"path": "*/capture"}, "effect": {"capture": "SHINY"}})
    assert (await world.paypal.observe(attempt)).status is ProviderStatus.UNKNOWN


async def test_a_cancelled_order_stays_open_until_it_expires(world: World) -> None:
    attempt = await world.started()
    await world.approve(attempt, "cancel")
    assert (await world.paypal.observe(attempt)).status is ProviderStatus.PENDING
    world.now += dt.timedelta(hours=4)
    gone = await world.paypal.observe(attempt)
    world.now += dt.timedelta(hours=72)
    expired = await world.paypal.observe(attempt)
    assert (gone.status, expired.status) == (ProviderStatus.UNKNOWN, ProviderStatus.FAILED)
    assert expired.reason_code == "ORDER_EXPIRED"


async def test_an_order_that_vanished_before_its_capture_is_read_again(world: World) -> None:
    attempt = await world.approved()
    await world.faults(
        {"match": {"path": "*/capture"}, "status": 404, "body": {"name": "RESOURCE_NOT_FOUND"}, "times": 1}
    )
    assert (await world.paypal.observe(attempt)).status is ProviderStatus.PENDING
    assert (await world.paypal.observe(attempt)).status is ProviderStatus.COMPLETED


async def test_an_approved_order_that_was_voided_has_failed(world: World) -> None:
    attempt = await world.approved()
    world.now += dt.timedelta(hours=4)
    assert (await world.paypal.observe(attempt)).status is ProviderStatus.FAILED


async def test_one_token_serves_all_calls_and_is_renewed_once_when_refused(world: World) -> None:
    await world.started()
    await world.started()
    assert len(await world.requests("/v1/oauth2/token")) == 1
    await world.faults({"match": {"path": "/v2/*"}, "status": 401, "body": {"name": "AUTHENTICATION_FAILURE"}})
    with pytest.raises(ProviderMisconfigured, match="unauthorized"):
        await world.started()
    assert len(await world.requests("/v1/oauth2/token")) == 2
    await world.faults({"match": {"path": "/v2/*"}, "status": 401, "times": 1})
    await world.started()
    assert len(await world.requests("/v1/oauth2/token")) == 3


async def test_a_token_is_renewed_before_it_ends(world: World) -> None:
    await world.started()
    world.now += dt.timedelta(hours=8, minutes=51)
    await world.started()
    assert len(await world.requests("/v1/oauth2/token")) == 2


async def test_parallel_calls_share_one_sign_in(world: World) -> None:
    import asyncio

    await asyncio.gather(*(world.started() for _ in range(5)))
    assert len(await world.requests("/v1/oauth2/token")) == 1


async def test_a_wrong_secret_is_our_own_affair(world: World) -> None:
    with pytest.raises(ProviderMisconfigured, match="invalid_client"):
        await world.adapter(client_secret="wrong").start(world.attempt())


@pytest.mark.parametrize(
    "rule",
    [{"status": 503}, {"status": 429}, {"status": 500, "body": "<html>"}, {"drop": "before"}, {"delay": 3.0}],
    ids=str,
)
async def test_a_provider_in_trouble_is_asked_again_later(world: World, rule: dict[str, Any]) -> None:
    attempt = await world.started()
    await world.faults({"match": {"path": "/v2/*"}, "times": 1} | rule)
    with pytest.raises(ProviderUnavailable) as trouble:
        await world.paypal.observe(attempt)
    assert trouble.value.retryable
    assert (await world.paypal.observe(attempt)).status is ProviderStatus.PENDING


async def test_a_refused_order_says_why(world: World) -> None:
    with pytest.raises(ProviderRefused, match="CANNOT_BE_ZERO_OR_NEGATIVE"):
        await world.paypal.start(world.attempt(amount=Money(0, "EUR")))
    with pytest.raises(ProviderMisconfigured):
        await world.paypal.start(world.attempt(amount=Money(25000, "XAF")))


def test_paypal_takes_no_francs_and_no_plain_http() -> None:
    with pytest.raises(MixedSettings, match="XAF"):
        PayPalConfig("https://api-m.paypal.com", "id", "secret", currency="XAF")
    with pytest.raises(MixedSettings, match="https"):
        PayPalConfig("http://api-m.paypal.com", "id", "secret")
    assert "secret" not in repr(PayPalConfig("https://api-m.paypal.com", "id", "secret-value"))


async def test_refunds_are_sent_once_and_seen_in_the_order(world: World) -> None:
    attempt = await world.approved()
    paid = await world.paypal.observe(attempt)
    assert paid.receipt_reference is not None
    wanted = RefundView(
        refund_id=uuid.uuid4(),
        request_id="refund-1-1",
        capture_reference=paid.receipt_reference,
        amount=Money(811, "EUR"),
        note="Geste commercial",
    )
    first, again = await world.paypal.refund(attempt, wanted), await world.paypal.refund(attempt, wanted)
    assert (first.status, again.refund_reference) == (ProviderStatus.COMPLETED, first.refund_reference)
    seen = await world.paypal.observe(attempt)
    assert (seen.status, seen.refunded) == (ProviderStatus.COMPLETED, Money(811, "EUR"))
    with pytest.raises(ProviderRefused, match="REFUND_AMOUNT_EXCEEDED"):
        await world.paypal.refund(attempt, replace(wanted, request_id="refund-2-1", amount=Money(3811, "EUR")))


async def test_paypal_itself_tells_true_events_from_false_ones(world: World) -> None:
    await world.approved()
    webhooks = world.running.paypal.webhooks
    event = next(iter(webhooks.events.values()))
    headers = webhooks.headers(event.body, str(uuid.uuid4()))
    verifier = OnlineVerifier(world.paypal, DEFAULT.webhook_id)
    await verifier.verify(headers, event.body)
    for forged in (event.body.replace(b"38.11", b"00.01"), json.dumps(json.loads(event.body)).encode(), b"{"):
        with pytest.raises(SignatureRejected):
            await verifier.verify(headers, forged)
    with pytest.raises(SignatureRejected):
        await OnlineVerifier(world.paypal, "another-listener").verify(headers, event.body)
    await world.faults({"match": {"path": "*/verify-webhook-signature"}, "status": 503, "times": 1})
    with pytest.raises(ProviderUnavailable):
        await verifier.verify(headers, event.body)


@pytest.mark.invariant("S27")
async def test_an_event_is_verified_offline_with_the_certificate_that_it_names(world: World) -> None:
    await world.approved()
    webhooks = world.running.paypal.webhooks
    event = next(iter(webhooks.events.values()))
    headers = webhooks.headers(event.body, str(uuid.uuid4()))
    config = OfflineConfig(DEFAULT.webhook_id, (world.running.url,), (world.running.common_name,), world.running.ca_pem)
    verifier = OfflineVerifier(config, world.http, lambda: world.now)
    await verifier.verify(headers, event.body)
    with pytest.raises(SignatureRejected):
        await verifier.verify(headers, event.body + b" ")
    public = replace(config, trust_anchors_pem=None)
    with pytest.raises(SignatureRejected, match="certificate_chain"):
        await OfflineVerifier(public, world.http, lambda: world.now).verify(headers, event.body)
