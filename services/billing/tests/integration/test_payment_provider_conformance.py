"""What every `PaymentProvider` promises, asked of each of them over real HTTP."""

import asyncio
import datetime as dt
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from billing.adapters.mtn_momo import MoMoConfig, MtnMoMo
from billing.adapters.paypal import PayPal, PayPalConfig
from billing.domain.money import Money
from billing.ports import (
    AttemptView,
    PaymentProvider,
    ProviderMisconfigured,
    ProviderState,
    ProviderStatus,
    ProviderUnavailable,
)
from simulators import mtn_momo, paypal
from simulators.paypal.certificates import Signer, make_signer

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def signer() -> Signer:
    return make_signer()


@dataclass
class World:
    """One provider, its simulator, and a payer who decides when he is told to."""

    provider: PaymentProvider
    stranger: PaymentProvider
    """The same provider with a wrong secret."""
    url: str
    http: httpx.AsyncClient
    amount: Money
    create_path: str
    decide: Callable[[AttemptView, bool], Awaitable[None]]

    def attempt(self) -> AttemptView:
        payment_id = uuid.uuid4()
        return AttemptView(
            payment_id=payment_id,
            reference=f"ORD-{payment_id.hex[:8]}-1",
            amount=self.amount,
            created_at=dt.datetime.now(dt.UTC),
            provider_reference=str(uuid.uuid4()) if self.provider.name == "mtn_momo" else None,
            create_request_id=f"create-{payment_id}-1",
            capture_request_id=f"capture-{payment_id}-1",
            return_url="https://shop.example/back",
            cancel_url="https://shop.example/cancel",
            phone_number="670000001",
            callback_token="token",
        )

    async def started(self) -> AttemptView:
        attempt = self.attempt()
        return replace(attempt, provider_reference=(await self.provider.start(attempt)).provider_reference)

    async def faults(self, **rule: Any) -> None:
        answer = await self.http.put(f"{self.url}/_sim/faults", json={"rules": [{"times": 1} | rule]})
        assert answer.status_code == 200

    async def accepted(self) -> int:
        """How many payments the provider has taken on."""
        answer = await self.http.get(f"{self.url}/_sim/requests", params={"path": self.create_path})
        return len([one for one in answer.json()["results"] if one["status"] in (0, 201, 202)])


async def paypal_world(signer: Signer, http: httpx.AsyncClient) -> AsyncIterator[World]:
    running = await paypal.start(paypal.PayPalConfig(signer=signer))

    def adapter(secret: str) -> PayPal:
        config = PayPalConfig(running.url, "paypal-client", secret, merchant_id=running.config.merchant_id)
        return PayPal(config, http, lambda: dt.datetime.now(dt.UTC))

    async def decide(attempt: AttemptView, pays: bool) -> None:
        form = {"token": attempt.provider_reference, "decision": "approve" if pays else "cancel"}
        assert (await http.post(f"{running.url}/checkoutnow", data=form)).status_code == 302

    ours, stranger = adapter("paypal-secret"), adapter("wrong")
    yield World(ours, stranger, running.url, http, Money(3811, "EUR"), "/v2/checkout/orders", decide)
    await running.stop()


async def momo_world(http: httpx.AsyncClient) -> AsyncIterator[World]:
    simulated = mtn_momo.MoMoConfig(approval_delay=600)
    running = await mtn_momo.start(simulated)

    def adapter(key: str) -> MtnMoMo:
        config = MoMoConfig(
            base_url=running.url,
            subscription_key=simulated.subscription_key,
            api_user=simulated.api_user,
            api_key=key,
            target_environment="mtncameroon",
            currency="XAF",
        )
        return MtnMoMo(config, http, lambda: dt.datetime.now(dt.UTC))

    async def decide(attempt: AttemptView, pays: bool) -> None:
        body = {"reference": attempt.provider_reference, "status": "SUCCESSFUL" if pays else "FAILED"}
        assert (await http.post(f"{running.url}/_sim/decide", json=body)).status_code == 200

    ours, stranger = adapter(simulated.api_key), adapter("wrong")
    yield World(ours, stranger, running.url, http, Money(25000, "XAF"), "*/requesttopay", decide)
    await running.stop()


@pytest.fixture(params=["paypal", "mtn_momo"])
async def world(request: pytest.FixtureRequest, signer: Signer) -> AsyncIterator[World]:
    async with httpx.AsyncClient(trust_env=False) as http:
        async for one in paypal_world(signer, http) if request.param == "paypal" else momo_world(http):
            yield one


async def test_a_started_payment_is_pending_until_the_payer_decides(world: World) -> None:
    attempt = await world.started()
    assert (await world.provider.observe(attempt)).status is ProviderStatus.PENDING
    await world.decide(attempt, True)
    paid = await world.provider.observe(attempt)
    assert (paid.status, paid.amount) == (ProviderStatus.COMPLETED, world.amount)
    assert paid.receipt_reference
    assert paid.mismatch(attempt, world.provider.payee) is None


async def test_a_payer_who_says_no_pays_nothing(world: World) -> None:
    attempt = await world.started()
    await world.decide(attempt, False)
    state = await world.provider.observe(attempt)
    assert state.status is not ProviderStatus.COMPLETED
    assert state.receipt_reference is None


@pytest.mark.invariant("S22")
async def test_observing_in_parallel_and_again_gives_one_state(world: World) -> None:
    attempt = await world.started()
    await world.decide(attempt, True)
    states = await asyncio.gather(*(world.provider.observe(attempt) for _ in range(50)))
    states.append(await world.provider.observe(attempt))
    assert {(state.status, state.receipt_reference) for state in states} == {
        (ProviderStatus.COMPLETED, states[0].receipt_reference)
    }


async def test_starting_again_makes_no_second_payment(world: World) -> None:
    attempt = world.attempt()
    first, again = await world.provider.start(attempt), await world.provider.start(attempt)
    assert first == again
    assert await world.accepted() == 1


async def test_a_lost_answer_is_made_up_for_with_the_same_keys(world: World) -> None:
    await world.faults(match={"method": "POST", "path": world.create_path}, drop="after")
    attempt = world.attempt()
    with pytest.raises(ProviderUnavailable):
        await world.provider.start(attempt)
    started = await world.provider.start(attempt)
    attempt = replace(attempt, provider_reference=started.provider_reference)
    await world.decide(attempt, True)
    assert (await world.provider.observe(attempt)).status is ProviderStatus.COMPLETED
    assert await world.accepted() == 1


async def test_what_never_arrived_is_told_apart_from_what_failed(world: World) -> None:
    never: ProviderState = await world.provider.observe(world.attempt())
    assert (never.status, never.not_received) == (ProviderStatus.UNKNOWN, True)


@pytest.mark.parametrize("rule", [{"status": 503}, {"status": 429}, {"drop": "before"}], ids=str)
async def test_trouble_at_the_provider_is_retryable_and_changes_nothing(world: World, rule: dict[str, Any]) -> None:
    attempt = await world.started()
    await world.faults(match={"method": "GET"}, **rule)
    with pytest.raises(ProviderUnavailable) as trouble:
        await world.provider.observe(attempt)
    assert (trouble.value.retryable, trouble.value.needs_operator) == (True, False)
    assert (await world.provider.observe(attempt)).status is ProviderStatus.PENDING


async def test_a_question_that_is_refused_calls_for_a_person(world: World) -> None:
    attempt = await world.started()
    await world.faults(match={"method": "GET"}, status=400, body={})
    with pytest.raises(ProviderMisconfigured):
        await world.provider.observe(attempt)


async def test_wrong_credentials_call_for_a_person(world: World) -> None:
    with pytest.raises(ProviderMisconfigured) as refused:
        await world.stranger.start(world.attempt())
    assert (refused.value.retryable, refused.value.needs_operator) == (False, True)
    assert await world.accepted() == 0


async def test_another_currency_than_the_accounts_is_never_sent(world: World) -> None:
    with pytest.raises(ProviderMisconfigured):
        await world.provider.start(replace(world.attempt(), amount=Money(1000, "GBP")))
    assert await world.accepted() == 0
