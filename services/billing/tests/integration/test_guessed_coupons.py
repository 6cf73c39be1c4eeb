"""Coupon codes that are guessed: three routes tell whether a code is right, and all of them count on one limit."""

import asyncio
from datetime import timedelta
from itertools import cycle, islice
from typing import Any
from uuid import uuid4

import httpx
import pytest
from billing.domain.tries import WINDOW
from billing.settings import Settings
from billing.testing import ORDERS, Billing, order_body
from common.ids import uuid7

pytestmark = pytest.mark.integration

WISH = {"plan_id": 2, "billing_cycle": "monthly"}
ROUTES = ("orders", "preview", "validate")
PERSON, ADDRESS = 6, 15


@pytest.fixture
def billing_settings() -> dict[str, Any]:
    return {"coupon_failures": PERSON, "coupon_failures_per_address": ADDRESS}


async def coupon(billing: Billing, **terms: Any) -> str:
    body = {"code": f"P{uuid4().hex[:10]}".upper(), "reason": "a campaign", "percent": "10"} | terms
    assert (await billing.client(staff=["finance"]).post("/api/admin/coupons/", json=body)).status_code == 201
    return str(body["code"])


async def attempt(client: Any, route: str, code: str | None, address: str | None = None) -> httpx.Response:
    headers = {"x-forwarded-for": address} if address else {}
    path, body = {
        "orders": (ORDERS, order_body(coupon_code=code, customer_name=uuid4().hex)),
        "preview": (f"{ORDERS}preview/", WISH | {"coupon_code": code}),
        "validate": ("/api/tenants/coupons/validate/", WISH | {"code": code}),
    }[route]
    answer: httpx.Response = await client.post(path, json=body, headers=headers)
    return answer


def is_wrong(answer: httpx.Response) -> bool:
    """Whether the answer says that the code is wrong, in its route's words."""
    said = answer.json()
    return (answer.status_code, said.get("code")) == (422, "coupon_refused") or said.get("valid") is False


def is_limited(answer: httpx.Response) -> bool:
    return (answer.status_code, answer.json().get("code")) == (429, "coupon_tries_used_up")


@pytest.mark.invariant("S89")
@pytest.mark.parametrize("last", ROUTES)
async def test_guesses_through_all_three_routes_count_on_one_limit(billing: Billing, last: str) -> None:
    right, guesser = await coupon(billing), billing.client()
    for route in islice(cycle(ROUTES), PERSON):
        assert is_wrong(await attempt(guesser, route, f"GUESS{uuid4().hex}"))
    answer = await attempt(guesser, last, f"GUESS{uuid4().hex}")
    assert is_limited(answer)
    assert 1 <= int(answer.headers["retry-after"]) <= WINDOW.total_seconds()
    assert is_limited(await attempt(guesser, last, right)), "it does not say either that this one is right"
    rows = await billing.rows("select redemptions from coupons where code = $1", code=right)
    assert rows[0]["redemptions"] == 0
    other = billing.client()
    assert (await attempt(other, last, right)).status_code in {200, 201}, "nobody else is held up"
    assert (await attempt(guesser, "orders", None)).status_code == 201, "he may order without a code"
    billing.clock.advance(WINDOW + timedelta(seconds=1))
    assert (await attempt(guesser, last, right)).status_code in {200, 201}


@pytest.mark.invariant("S89")
async def test_of_many_guesses_at_once_no_more_are_looked_at_than_the_limit(billing: Billing) -> None:
    guesser = billing.client()
    guesses = [attempt(guesser, route, f"GUESS{uuid4().hex}") for route in islice(cycle(ROUTES), 60)]
    answers = await asyncio.gather(*guesses)
    assert sum(is_wrong(answer) for answer in answers) == PERSON
    assert sum(is_limited(answer) for answer in answers) == 60 - PERSON


@pytest.mark.invariant("S89")
@pytest.mark.parametrize(
    "addresses",
    [["198.51.100.7"], ["2001:db8:5:6::1", "2001:db8:5:6:7:8:9:a"]],
)
async def test_many_accounts_at_one_address_count_on_one_limit(billing: Billing, addresses: list[str]) -> None:
    async with billing.superuser() as connection:
        await connection.execute("delete from coupon_tries")
    source, routes = cycle(addresses), cycle(ROUTES)
    for _ in range(ADDRESS):
        assert is_wrong(await attempt(billing.client(), next(routes), "GUESS", next(source)))
    for route in ROUTES:
        assert is_limited(await attempt(billing.client(), route, "GUESS", next(source)))
    assert is_wrong(await attempt(billing.client(), "validate", "GUESS", "2001:db8:5:7::1"))


async def test_codes_that_are_right_and_refusals_for_other_reasons_cost_nothing(billing: Billing) -> None:
    right, buyer = await coupon(billing), billing.client(user_id=uuid7())
    for route in islice(cycle(ROUTES), 4 * PERSON):
        assert (await attempt(buyer, route, right)).status_code in {200, 201}
        other = await buyer.post(f"{ORDERS}preview/", json=WISH | {"plan_id": 99, "coupon_code": "GUESS"})
        assert other.json()["code"] == "plan_not_found"
    assert is_wrong(await attempt(buyer, "orders", "GUESS"))


async def test_a_code_that_was_right_gives_back_no_wrong_ones(billing: Billing) -> None:
    right, guesser = await coupon(billing), billing.client()
    for _ in range(PERSON):
        assert is_wrong(await attempt(guesser, "validate", "GUESS"))
        await attempt(guesser, "validate", right)
    assert is_limited(await attempt(guesser, "validate", "GUESS"))


async def test_counts_of_former_windows_are_swept_by_later_tries(billing: Billing) -> None:
    async with billing.superuser() as connection:
        await connection.execute("delete from coupon_tries")  # what other tests left is more than one try sweeps
    for _ in range(5):
        await attempt(billing.client(), "validate", "GUESS")
    billing.clock.advance(WINDOW + timedelta(seconds=1))
    await attempt(billing.client(), "validate", "GUESS")
    rows = await billing.rows("select began_at from coupon_tries where began_at <= $1", t=billing.clock.now() - WINDOW)
    assert rows == []


def test_a_try_counts_for_its_person_and_its_address() -> None:
    production = {"environment": "production", "coupon_failures": None, "coupon_failures_per_address": None}
    limits, me = Settings.model_construct(None, **production).coupon_limits, uuid7()
    assert {one.most for one in limits.of(me, "192.0.2.1")} == {10, 50}
    assert [one.most for one in limits.of(me, None)] == [10]
    assert limits.of(me, "unknown") != limits.of(me, "192.0.2.1")
