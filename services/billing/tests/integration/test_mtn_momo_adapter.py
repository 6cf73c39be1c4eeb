"""MTN MoMo's adapter against the MoMo simulator over real HTTP."""

import asyncio
import datetime as dt
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from billing.adapters.mtn_momo import MoMoConfig, MtnMoMo
from billing.domain.money import Money
from billing.ports import (
    AttemptView,
    ProviderMisconfigured,
    ProviderRefused,
    ProviderState,
    ProviderStatus,
    ProviderUnavailable,
)
from simulators.mtn_momo import MoMoConfig as SimulatorConfig
from simulators.mtn_momo import start
from simulators.server import Running

pytestmark = pytest.mark.integration
SANDBOX = SimulatorConfig(environment="sandbox", approval_delay=0.01, ongoing_delay=0.05)
CAMEROON = SimulatorConfig(environment="mtncameroon", approval_delay=0.01)


class World:
    """The simulator and our adapter."""

    def __init__(self, running: Running, config: SimulatorConfig, http: httpx.AsyncClient) -> None:
        self.running = running
        self.config = config
        self.http = http
        self.now = dt.datetime.now(dt.UTC)
        self.momo = self.adapter()

    def adapter(self, **changes: Any) -> MtnMoMo:
        facts: dict[str, Any] = {
            "base_url": self.running.url,
            "subscription_key": self.config.subscription_key,
            "api_user": self.config.api_user,
            "api_key": self.config.api_key,
            "target_environment": self.config.environment,
            "currency": self.config.currency,
            "callback_base": "https://backup.example/webhooks/mtn-momo",
            "timeout_seconds": 2,
        }
        return MtnMoMo(MoMoConfig(**(facts | changes)), self.http, lambda: self.now)

    def attempt(self, **changes: Any) -> AttemptView:
        facts: dict[str, Any] = {
            "payment_id": uuid.uuid4(),
            "reference": "ORD-2026-000123-1",
            "amount": Money(25000, "XAF") if self.config.currency == "XAF" else Money(3900, "EUR"),
            "created_at": self.now,
            "provider_reference": str(uuid.uuid4()),
            "description": "L'abonnement « Argent » & sauvegarde à l'échéance",
            "phone_number": "+237 6 70 00 00 01",
            "callback_token": "unguessable-token",
        }
        return AttemptView(**(facts | changes))

    async def final(self, attempt: AttemptView) -> ProviderState:
        while (state := await self.momo.observe(attempt)).status is ProviderStatus.PENDING:
            await asyncio.sleep(0.01)
        return state

    async def faults(self, *rules: dict[str, Any]) -> None:
        answer = await self.http.put(f"{self.running.url}/_sim/faults", json={"rules": list(rules)})
        assert answer.status_code == 200

    async def requests(self, path: str) -> list[dict[str, Any]]:
        answer = await self.http.get(f"{self.running.url}/_sim/requests", params={"path": path})
        return list(answer.json()["results"])


async def serving(config: SimulatorConfig) -> AsyncIterator[World]:
    running = await start(config)
    async with httpx.AsyncClient(trust_env=False) as http:
        yield World(running, config, http)
    await running.stop()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async for one in serving(CAMEROON):
        yield one


@pytest.fixture
async def sandbox() -> AsyncIterator[World]:
    async for one in serving(SANDBOX):
        yield one


@pytest.mark.invariant("S19")
async def test_francs_are_asked_for_to_the_franc_and_confirmed(world: World) -> None:
    attempt = world.attempt()
    started = await world.momo.start(attempt)
    assert (started.provider_reference, started.redirect_url) == (attempt.provider_reference, None)
    paid = await world.final(attempt)
    assert (paid.status, paid.amount) == (ProviderStatus.COMPLETED, Money(25000, "XAF"))
    assert paid.receipt_reference
    assert paid.mismatch(attempt, world.momo.payee) is None


async def test_the_request_carries_our_ids_plain_text_and_the_callback(world: World) -> None:
    import json

    attempt = world.attempt()
    await world.momo.start(attempt)
    (sent,) = await world.requests("*/requesttopay")
    assert json.loads(sent["body"]) == {
        "amount": "25000",
        "currency": "XAF",
        "externalId": str(attempt.payment_id),
        "payer": {"partyIdType": "MSISDN", "partyId": "237670000001"},
        "payerMessage": "L abonnement Argent sauvegarde a l echeance",
        "payeeNote": "ORD-2026-000123-1",
    }
    assert sent["headers"]["x-callback-url"] == "https://backup.example/webhooks/mtn-momo/unguessable-token"
    assert sent["headers"]["x-target-environment"] == "mtncameroon"


async def test_without_a_public_address_the_callback_header_is_left_out(world: World) -> None:
    await world.adapter(callback_base=None).start(world.attempt())
    (sent,) = await world.requests("*/requesttopay")
    assert "x-callback-url" not in sent["headers"]


@pytest.mark.parametrize(
    ("number", "status", "reason", "operator"),
    [
        ("46733123450", ProviderStatus.FAILED, "INTERNAL_PROCESSING_ERROR", False),
        ("46733123451", ProviderStatus.FAILED, "APPROVAL_REJECTED", False),
        ("46733123452", ProviderStatus.FAILED, "EXPIRED", False),
        ("46733123453", ProviderStatus.COMPLETED, None, False),
        ("46733123455", ProviderStatus.FAILED, "PAYER_NOT_FOUND", False),
        ("46733123456", ProviderStatus.FAILED, "PAYEE_NOT_ALLOWED_TO_RECEIVE", True),
        ("46733123463", ProviderStatus.FAILED, "COULD_NOT_PERFORM_TRANSACTION", False),
        ("46733123464", ProviderStatus.FAILED, "TRANSFER_TYPE_UNKNOWN", False),
        ("56733123453", ProviderStatus.COMPLETED, None, False),
    ],
)
async def test_each_accepted_sandbox_number_ends_as_listed(
    sandbox: World, number: str, status: ProviderStatus, reason: str | None, operator: bool
) -> None:
    attempt = sandbox.attempt(phone_number=number)
    await sandbox.momo.start(attempt)
    state = await sandbox.final(attempt)
    assert (state.status, state.reason_code, state.needs_operator) == (status, reason, operator)
    assert (state.receipt_reference is not None) == (status is ProviderStatus.COMPLETED)


async def test_a_payer_who_never_decides_stays_pending(sandbox: World) -> None:
    attempt = sandbox.attempt(phone_number="46733123454")
    await sandbox.momo.start(attempt)
    await asyncio.sleep(SANDBOX.ongoing_delay * 2)
    assert (await sandbox.momo.observe(attempt)).status is ProviderStatus.PENDING


@pytest.mark.parametrize(
    ("number", "error", "code"),
    [
        ("46733123457", ProviderMisconfigured, "NOT_ALLOWED"),
        ("46733123458", ProviderMisconfigured, "NOT_ALLOWED_TARGET_ENVIRONMENT"),
        ("46733123459", ProviderMisconfigured, "INVALID_CALLBACK_URL_HOST"),
        ("46733123460", ProviderMisconfigured, "INVALID_CURRENCY"),
        ("46733123461", ProviderUnavailable, "INTERNAL_PROCESSING_ERROR"),
        ("46733123462", ProviderUnavailable, "SERVICE_UNAVAILABLE"),
    ],
)
async def test_each_refused_sandbox_number_is_retried_only_where_that_can_help(
    sandbox: World, number: str, error: type[Exception], code: str
) -> None:
    attempt = sandbox.attempt(phone_number=number)
    with pytest.raises(error, match=code):
        await sandbox.momo.start(attempt)
    assert (await sandbox.momo.observe(attempt)).not_received


@pytest.mark.parametrize("as_object", [True, False])
@pytest.mark.parametrize("code", ["TRANSACTION_CANCELED", "TRANSACTION_CANCELED."])
async def test_a_reason_is_read_in_both_shapes_and_without_its_dot(as_object: bool, code: str) -> None:
    config = replace(CAMEROON, reason_as_object=as_object, approval_delay=60)
    async for world in serving(config):
        attempt = world.attempt()
        await world.momo.start(attempt)
        decided = {"reference": attempt.provider_reference, "status": "FAILED", "reason": code}
        assert (await world.http.post(f"{world.running.url}/_sim/decide", json=decided)).status_code == 200
        assert (await world.momo.observe(attempt)).reason_code == "TRANSACTION_CANCELED"


async def test_a_request_whose_answer_was_lost_was_accepted_all_the_same(world: World) -> None:
    await world.faults({"match": {"path": "*/requesttopay"}, "drop": "after", "times": 1})
    attempt = world.attempt()
    with pytest.raises(ProviderUnavailable):
        await world.momo.start(attempt)
    assert (await world.momo.start(attempt)).provider_reference == attempt.provider_reference
    assert (await world.final(attempt)).status is ProviderStatus.COMPLETED
    assert [one["status"] for one in await world.requests("*/requesttopay")] == [0, 409]


async def test_a_request_that_never_arrived_may_be_repeated_with_the_same_reference(world: World) -> None:
    await world.faults({"match": {"path": "*/requesttopay"}, "drop": "before", "times": 1})
    attempt = world.attempt()
    with pytest.raises(ProviderUnavailable):
        await world.momo.start(attempt)
    lost = await world.momo.observe(attempt)
    assert (lost.status, lost.not_received) == (ProviderStatus.UNKNOWN, True)
    await world.momo.start(attempt)
    assert (await world.final(attempt)).status is ProviderStatus.COMPLETED


@pytest.mark.invariant("S21")
async def test_facts_that_differ_from_ours_are_named(world: World) -> None:
    attempt = world.attempt()
    await world.momo.start(attempt)
    paid = await world.final(attempt)
    assert paid.mismatch(replace(attempt, amount=Money(24999, "XAF"))) == "amount"
    assert paid.mismatch(replace(attempt, payment_id=uuid.uuid4())) == "payment_id"
    assert paid.mismatch(replace(attempt, provider_reference=str(uuid.uuid4()))) == "reference"


@pytest.mark.parametrize("body", [{"status": "SHINY"}, {"status": "SUCCESSFUL", "amount": "1.5", "currency": "XAF"}])
async def test_an_answer_that_is_not_understood_confirms_nothing(world: World, body: dict[str, Any]) -> None:
    await world.faults({"match": {"method": "GET"}, "status": 200, "body": body})
    attempt = world.attempt()
    state = await world.momo.observe(attempt)
    assert state.status is not ProviderStatus.COMPLETED or state.mismatch(attempt) is not None


async def test_one_token_serves_all_calls_and_is_renewed_early_and_after_a_401(world: World) -> None:
    attempt = world.attempt()
    await world.momo.start(attempt)
    await world.final(attempt)
    assert len(await world.requests("/collection/token/")) == 1
    world.now += dt.timedelta(minutes=51)
    await world.momo.observe(attempt)
    assert len(await world.requests("/collection/token/")) == 2
    await world.faults({"match": {"method": "GET"}, "status": 401, "times": 1})
    await world.momo.observe(attempt)
    assert len(await world.requests("/collection/token/")) == 3


async def test_an_expiry_told_as_text_is_understood(world: World) -> None:
    # The 2019 interface description typed expires_in as a string.
    body = {"access_token": "old", "token_type": "access_token", "expires_in": "3600"}
    await world.faults({"match": {"path": "/collection/token/"}, "status": 200, "body": body, "times": 1})
    with pytest.raises(ProviderMisconfigured, match="login_failed"):
        await world.adapter(api_key="wrong").observe(world.attempt())
    assert [one["status"] for one in await world.requests("/collection/token/")] == [200, 500]


@pytest.mark.parametrize(
    ("change", "code"), [({"api_key": "wrong"}, "login_failed"), ({"subscription_key": "wrong"}, "http_401")]
)
async def test_wrong_credentials_are_not_retried(world: World, change: dict[str, str], code: str) -> None:
    with pytest.raises(ProviderMisconfigured, match=code):
        await world.adapter(**change).start(world.attempt())


@pytest.mark.parametrize(
    "rule", [{"status": 503}, {"status": 429}, {"status": 500}, {"drop": "before"}, {"delay": 3.0}], ids=str
)
async def test_a_provider_in_trouble_is_asked_again_later(world: World, rule: dict[str, Any]) -> None:
    attempt = world.attempt()
    await world.momo.start(attempt)
    await world.faults({"match": {"method": "GET"}, "times": 1} | rule)
    with pytest.raises(ProviderUnavailable) as trouble:
        await world.momo.observe(attempt)
    assert trouble.value.retryable
    assert (await world.final(attempt)).status is ProviderStatus.COMPLETED


@pytest.mark.parametrize(
    ("change", "error", "code"),
    [
        ({"phone_number": "12"}, ProviderRefused, "INVALID_PHONE_NUMBER"),
        ({"phone_number": None}, ProviderRefused, "INVALID_PHONE_NUMBER"),
        ({"amount": Money(3811, "EUR")}, ProviderMisconfigured, "INVALID_CURRENCY"),
        ({"amount": Money(0, "XAF")}, ProviderRefused, "AMOUNT_NOT_WHOLE"),
    ],
    ids=str,
)
async def test_what_mtn_would_refuse_is_not_even_sent(
    world: World, change: dict[str, Any], error: type[Exception], code: str
) -> None:
    with pytest.raises(error, match=code):
        await world.momo.start(world.attempt(**change))
    assert await world.requests("*/requesttopay") == []


async def test_cents_are_not_sent_to_the_sandbox(sandbox: World) -> None:
    with pytest.raises(ProviderRefused, match="AMOUNT_NOT_WHOLE"):
        await sandbox.momo.start(sandbox.attempt(amount=Money(3811, "EUR")))


@pytest.mark.parametrize("reference", [None, "ORD-1", "6aaa2450-e66a-11f1-87de-02fc00000001"])
async def test_no_call_is_made_without_a_stored_uuid_of_version_4(world: World, reference: str | None) -> None:
    with pytest.raises(ValueError):
        await world.momo.start(world.attempt(provider_reference=reference))
    assert await world.requests("*") == []


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("46733123450", False),
        ("46733123451", False),
        ("46733123452", None),
        ("46733123453", None),
        ("46733123454", None),
        ("46733123455", None),
        ("46700000001", True),
    ],
)
async def test_asking_for_a_wallet_never_stops_a_payment(sandbox: World, number: str, expected: bool | None) -> None:
    assert await sandbox.momo.is_active(number) is expected
