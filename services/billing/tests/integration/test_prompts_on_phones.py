"""Requests to pay on phones that are not the payer's: how many one number, one order and one person may cause."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from billing.domain.tries import PROMPT_WINDOW
from billing.settings import Settings
from billing.testing import ORDERS, Billing, place, subscribed
from common.ids import uuid7

pytestmark = pytest.mark.integration

PER_NUMBER, PER_ORDER, PER_PERSON = 3, 4, 6


@pytest.fixture
def billing_settings() -> dict[str, Any]:
    return {
        "momo_prompts_per_number": PER_NUMBER,
        "momo_prompts_per_order": PER_ORDER,
        "momo_prompts_per_person": PER_PERSON,
    }


@pytest.fixture
def momo_config() -> dict[str, Any]:
    return {"approval_delay": 3_600}


@pytest.fixture
async def replica(world: Any) -> AsyncIterator[Billing]:
    """Another process of billing, with the same database."""
    other = Billing(world.billing.database, world.billing.settings, world.http, world.billing.clock)
    yield other
    await other.close()


def somebodys_number() -> str:
    return f"2376{uuid4().int % 10**8:08d}"


async def ask(client: Any, order: dict[str, Any], number: str, **headers: str) -> httpx.Response:
    """Ask for a prompt, as a wish of its own and not as a second tap on the same button."""
    body = {"payment_method_id": 2, "phone_number": number}
    headers = {"idempotency-key": uuid4().hex} | headers
    answer: httpx.Response = await client.post(f"{ORDERS}{order['id']}/initiate_payment/", json=body, headers=headers)
    return answer


def is_limited(answer: httpx.Response) -> bool:
    return (answer.status_code, answer.json().get("code")) == (429, "payment_prompts_used_up")


async def prompts_to(world: Any, number: str) -> int:
    """How many prompts MTN was asked for."""
    sent = await world.requests(world.momo, "/collection/v1_0/requesttopay")
    return sum(number in str(request) for request in sent)


@pytest.mark.invariant("S95")
async def test_organizations_at_once_send_a_number_no_more_prompts_than_its_limit(world: Any, replica: Billing) -> None:
    victim, buyers = somebodys_number(), []
    for process in (world.billing, replica) * 25:
        buyer = process.client()
        buyers.append((buyer, await place(buyer)))
    answers = await asyncio.gather(*(ask(buyer, order, victim) for buyer, order in buyers))
    assert sum(answer.status_code == 200 for answer in answers) == PER_NUMBER
    assert sum(is_limited(answer) for answer in answers) == len(buyers) - PER_NUMBER
    assert await prompts_to(world, victim) == PER_NUMBER
    rows = await world.billing.rows("select status from payments where phone_number = $1", n=victim)
    assert len(rows) == PER_NUMBER, "what is refused leaves no attempt"


@pytest.mark.invariant("S95")
async def test_who_has_reached_the_limit_is_told_when_to_come_again(billing: Billing) -> None:
    number, buyer = somebodys_number(), billing.client()
    order = await place(buyer)
    for _ in range(PER_NUMBER):
        assert (await ask(buyer, order, number)).status_code == 200
    refused = await ask(buyer, order, number, **{"accept-language": "fr"})
    assert is_limited(refused)
    assert "Retry-After" in refused.json()["detail"]
    assert "demandes de paiement" in refused.json()["detail"]
    assert "requests to pay" in (await ask(buyer, order, number, **{"accept-language": "en"})).json()["detail"]
    wait = int(refused.headers["retry-after"])
    assert PROMPT_WINDOW - timedelta(minutes=1) < timedelta(seconds=wait) <= PROMPT_WINDOW
    offered = await billing.rows(
        "select count(*) as n from payments where order_id = $1 and status in ('pending', 'processing')",
        id=UUID(order["id"]),
    )
    assert offered[0]["n"] == 1, "the prompt that is on the phone still pays"
    by_transfer = await buyer.post(f"{ORDERS}{order['id']}/initiate_payment/", json={"payment_method_id": 3})
    assert by_transfer.status_code == 200, "another method is open"
    billing.clock.advance(timedelta(seconds=wait + 1))
    assert (await ask(buyer, order, number)).status_code == 200


@pytest.mark.invariant("S95")
async def test_an_order_reaches_only_so_many_numbers(billing: Billing) -> None:
    buyer = billing.client()
    order = await place(buyer)
    answers = [await ask(buyer, order, somebodys_number()) for _ in range(PER_ORDER + 1)]
    assert [answer.status_code for answer in answers] == [200] * PER_ORDER + [429]


@pytest.mark.invariant("S95")
async def test_a_person_reaches_only_so_many_numbers_by_however_many_orders(billing: Billing) -> None:
    buyer = billing.client(user_id=uuid7())
    answers = []
    for _ in range(PER_PERSON + 1):
        order = await place(buyer, customer_name=uuid4().hex)
        answers.append(await ask(buyer, order, somebodys_number()))
    assert [answer.status_code for answer in answers] == [200] * PER_PERSON + [429]
    other = billing.client()
    assert (await ask(other, await place(other), somebodys_number())).status_code == 200, "nobody else is held up"


async def test_another_organizations_limit_is_not_told_and_its_rows_are_not_seen(billing: Billing) -> None:
    number = somebodys_number()
    theirs, tenant_id = await subscribed(billing)
    renewal = await place(theirs)
    for _ in range(PER_NUMBER):
        assert (await ask(theirs, renewal, number)).status_code == 200
    mine = billing.client()
    refused = await ask(mine, await place(mine), number)
    assert is_limited(refused)
    assert str(tenant_id) not in refused.text
    kept = await billing.rows("select encode(subject, 'escape') as subject from payment_prompts")
    assert all(number not in row["subject"] for row in kept)


async def test_the_same_request_again_is_no_other_prompt(world: Any) -> None:
    number, buyer = somebodys_number(), world.billing.client()
    order = await place(buyer)
    for _ in range(2 * PER_NUMBER):
        assert (await ask(buyer, order, number, **{"idempotency-key": "one"})).status_code == 200
    assert await prompts_to(world, number) == 1


def test_production_is_strict_and_elsewhere_a_rush_may_arrive() -> None:
    unset = dict.fromkeys(("momo_prompts_per_number", "momo_prompts_per_order", "momo_prompts_per_person"))
    strict = Settings.model_construct(None, environment="production", **unset).prompt_limits
    assert (strict.number, strict.order, strict.person) == (5, 5, 15)
    loose = Settings.model_construct(None, environment="test", **unset).prompt_limits
    assert min(loose.number, loose.order, loose.person) == 6_000
