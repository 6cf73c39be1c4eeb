"""What an order would cost: exactly what it then does, and nothing is changed by asking."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from billing.testing import (
    ORDERS,
    PAYMENTS,
    Billing,
    initiate,
    order_body,
    pay_by_transfer,
    place,
    subscribed,
)
from common.ids import uuid7
from common.testing import FrozenClock

pytestmark = pytest.mark.integration

PREVIEW = f"{ORDERS}preview/"
SHOWN = (
    "kind", "plan", "billing_cycle", "coupon_code", "subtotal", "discount_amount", "credit_amount", "tax_amount",
    "total_amount", "currency", "effective_at", "over_quota", "proration",
)  # fmt: skip
"""What an order and its preview both say."""


def wish(**changes: Any) -> dict[str, Any]:
    return {"plan_id": 2, "billing_cycle": "monthly"} | changes


async def preview(client: Any, **changes: Any) -> dict[str, Any]:
    answer = await client.post(PREVIEW, json=wish(**changes))
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def coupon(billing: Billing, **terms: Any) -> str:
    body = {"code": f"P{uuid4().hex[:10]}".upper(), "reason": "a campaign"} | terms
    assert (await billing.client(staff=["finance"]).post("/api/admin/coupons/", json=body)).status_code == 201
    return str(body["code"])


async def everything(billing: Billing) -> dict[str, str]:
    """A digest of each table's rows; not of how often wrong codes were tried, which every route counts."""
    tables = await billing.rows(
        "select table_name as name from information_schema.tables where table_schema = 'public'"
        " and table_type = 'BASE TABLE' and table_name <> 'coupon_tries' order by 1"
    )
    found = {}
    for table in tables:
        (row,) = await billing.rows(
            f"select md5(coalesce(string_agg(t::text, '|' order by t::text), '')) as digest from {table['name']} t"
        )
        found[table["name"]] = row["digest"]
    return found


@pytest.fixture
async def still(world: Any) -> AsyncIterator[Billing]:
    """A billing whose clock stands still: what is unused does not become less between two questions."""
    frozen = Billing(
        world.billing.database, world.billing.settings, world.http, FrozenClock(datetime(2027, 6, 1, 12, tzinfo=UTC))
    )
    yield frozen
    await frozen.close()


async def test_a_preview_shows_price_discount_total_and_ways_to_pay(billing: Billing) -> None:
    code = await coupon(billing, percent="12.5")
    shown = await preview(billing.client(), coupon_code=code.lower())
    assert shown["kind"] == "new"
    assert (shown["subtotal"], shown["discount_amount"], shown["total_amount"]) == ("50000", "6250", "43750")
    assert (shown["balance_used_amount"], shown["due_amount"], shown["currency"]) == ("0", "43750", "XAF")
    assert [(one["name"], one["charged_amount"], one["charged_currency"]) for one in shown["payment_methods"]] == [
        ("paypal", "66.70", "EUR"),
        ("mtn_momo", "43750", "XAF"),
        ("bank_transfer", "43750", "XAF"),
    ]
    assert shown["proration"] is shown["over_quota"] is shown["effective_at"] is None


@pytest.mark.parametrize(("currency", "due"), [("EUR", "76.22"), ("USD", "90.00")])
async def test_only_methods_that_pay_its_currency_are_offered(billing: Billing, currency: str, due: str) -> None:
    shown = await preview(billing.client(), currency=currency)
    assert [(one["name"], one["charged_amount"], one["charged_currency"]) for one in shown["payment_methods"]] == [
        ("paypal", due, currency)
    ]


async def test_a_method_that_takes_less_at_once_is_not_offered(billing: Billing) -> None:
    shown = await preview(billing.client(), plan_id=3, billing_cycle="yearly")
    assert shown["due_amount"] == "1000000"
    assert "mtn_momo" in {one["name"] for one in shown["payment_methods"]}


class TestWithALowerLimit:
    @pytest.fixture
    def billing_settings(self) -> dict[str, Any]:
        return {"mtn_momo_limit": 49_999}

    async def test_a_method_that_takes_less_at_once_is_not_offered(self, billing: Billing) -> None:
        dear, cheap = await preview(billing.client()), await preview(billing.client(), plan_id=1)
        assert "mtn_momo" not in {one["name"] for one in dear["payment_methods"]}
        assert "mtn_momo" in {one["name"] for one in cheap["payment_methods"]}


async def test_half_of_a_month_that_is_unused_is_worth_half_of_its_price(still: Billing) -> None:
    owner, _ = await subscribed(still)
    still.clock.advance(timedelta(days=15))
    shown = await preview(owner, plan_id=3)
    worked = shown["proration"]
    (unused,) = worked["unused"]
    assert (unused["days"], unused["days_left"], unused["cost_minor"], unused["credit_minor"]) == (
        "30.00", "15.00", 50_000, 25_000,
    )  # fmt: skip
    assert (worked["price_minor"], worked["credit_used_minor"], worked["due_minor"]) == (100_000, 25_000, 75_000)
    assert (shown["credit_amount"], shown["total_amount"], shown["due_amount"]) == ("25000", "75000", "75000")


@pytest.mark.invariant("S16")
async def test_asking_changes_no_row_of_any_table(billing: Billing) -> None:
    owner, _ = await subscribed(billing)
    code = await coupon(billing, percent="10", max_redemptions=1, max_per_customer=1)
    buyer = billing.client()
    before = await everything(billing)
    for client, asked in (
        (buyer, {"coupon_code": code}),
        (buyer, {"coupon_code": code, "currency": "USD"}),
        (owner, {"plan_id": 3, "coupon_code": code}),
        (owner, {"plan_id": 1}),
        (owner, {}),
    ):
        await preview(client, **asked)
    for asked in ({"plan_id": 99}, {"coupon_code": "NOSUCHCODE"}, {"currency": "ZZZ"}, {"plan_id": "2"}):
        assert (await buyer.post(PREVIEW, json=wish(**asked))).status_code in {404, 422}
    assert await everything(billing) == before
    assert (await place(buyer, coupon_code=code))["discount_amount"] == "5000", "its one use was left"


async def test_a_preview_does_not_wait_for_who_orders_with_the_same_coupon(billing: Billing) -> None:
    code = await coupon(billing, percent="10")
    async with billing.superuser() as connection, connection.transaction():
        await connection.execute("select 1 from coupons where code = $1 for update", code)
        async with asyncio.timeout(5):
            shown = await preview(billing.client(), coupon_code=code)
    assert shown["discount_amount"] == "5000"


@pytest.mark.invariant("S24")
@pytest.mark.parametrize(("paid", "used", "due"), [("60000", "10000", "40000"), ("150000", "50000", "0")])
async def test_it_tells_what_credit_would_pay_and_what_would_be_left(
    billing: Billing, paid: str, used: str, due: str
) -> None:
    me = uuid7()
    buyer = billing.client(user_id=me)
    order = await place(buyer)
    started = await initiate(buyer, order, 3)
    body = {"approve": True, "amount": paid}
    path = f"{PAYMENTS}{started['payment_id']}/verify_bank_transfer/"
    assert (await billing.client(staff=["finance"]).post(path, json=body)).status_code == 200
    tenant_id = await billing.provision(order)
    owner = billing.client(user_id=me, tenant_id=tenant_id, roles=["owner"])
    shown = await preview(owner)
    assert (shown["total_amount"], shown["balance_used_amount"], shown["due_amount"]) == ("50000", used, due)
    assert bool(shown["payment_methods"]) == (due != "0")
    stranger, _ = await subscribed(billing)
    assert (await preview(stranger))["balance_used_amount"] == "0"
    renewal = await place(owner)
    if due == "0":
        assert renewal["payment_status"] == "paid"
    else:
        assert (await initiate(owner, renewal, 3))["bank_details"]["amount"] == due


@pytest.mark.invariant("S1")
async def test_nobody_sees_what_an_organization_of_others_would_pay(billing: Billing) -> None:
    _, tenant_id = await subscribed(billing)
    stranger, _ = await subscribed(billing)
    answer = await stranger.post(PREVIEW, json=wish(organization_id=str(tenant_id)))
    assert (answer.status_code, answer.json()["code"]) == (404, "organization_not_found")
    for role in ("admin", "member", "viewer"):
        member = billing.client(tenant_id=tenant_id, roles=[role])
        answer = await member.post(PREVIEW, json=wish())
        assert (answer.status_code, answer.json()["code"]) == (403, "organization_owner_required")
    assert (await billing.client(anonymous=True).post(PREVIEW, json=wish())).status_code == 401


@pytest.mark.invariant("S92")
async def test_an_order_that_placing_would_return_is_shown_with_its_use_of_a_coupon(billing: Billing) -> None:
    code = await coupon(billing, percent="10", max_redemptions=1, max_per_customer=1)
    buyer, other = billing.client(), billing.client()
    kept = await place(buyer, coupon_code=code)
    for body in (wish(coupon_code=code), order_body(coupon_code=code)):
        shown = await preview(buyer, **body)
        assert {name: shown[name] for name in SHOWN} == {name: kept[name] for name in SHOWN}
        assert shown["due_amount"] == "45000"
    assert (await place(buyer, coupon_code=code))["id"] == kept["id"]
    for client, changes, reason in (
        (other, {}, "used_up"),
        (buyer, {"plan_id": 3}, "used_up"),
        (buyer, {"customer_name": "Another name"}, "used_up"),
    ):
        asked = order_body(coupon_code=code, **changes)
        for path in (PREVIEW, ORDERS):
            answer = await client.post(path, json=asked)
            assert (answer.status_code, answer.json().get("reason")) == (422, reason), (path, changes)
    billing.clock.advance(timedelta(hours=1, seconds=1))
    for path in (PREVIEW, ORDERS):
        assert (await buyer.post(path, json=order_body(coupon_code=code))).status_code == 422


async def test_it_shows_what_is_left_to_pay_of_an_order_that_was_paid_in_part(billing: Billing) -> None:
    buyer = billing.client()
    order = await place(buyer)
    started = await initiate(buyer, order, 3)
    path = f"{PAYMENTS}{started['payment_id']}/verify_bank_transfer/"
    body = {"approve": True, "amount": "20000"}
    assert (await billing.client(staff=["finance"]).post(path, json=body)).status_code == 200
    shown = await preview(buyer)
    assert (shown["total_amount"], shown["due_amount"]) == ("50000", "30000")
    again = await place(buyer)
    assert again["id"] == order["id"]
    assert (await initiate(buyer, again, 3))["bank_details"]["amount"] == "30000"


class Asker:
    """Somebody who asks what he then orders, by chance; the same again, or of the same kind in another name."""

    def __init__(self, billing: Billing, seed: int) -> None:
        self.billing = billing
        self.chance = random.Random(seed)
        self.told: list[str] = []
        self.wished: list[dict[str, Any]] = []
        self.ids: list[str] = []

    async def begin(self) -> None:
        chance = self.chance
        self.percent = await coupon(self.billing, percent=chance.choice(["10", "33.33", "100"]))
        self.fixed = await coupon(self.billing, amounts={"XAF": "7777", "EUR": "9.99"})
        self.once = await coupon(self.billing, percent="20", max_per_customer=1)
        self.client, self.tenant_id = await subscribed(
            self.billing, plan_id=chance.choice([1, 2, 3]), billing_cycle=chance.choice(["monthly", "yearly"])
        )

    def wish(self) -> dict[str, Any]:
        chance = self.chance
        optional = {
            "currency": chance.choice([None, None, "XAF", "EUR", "USD"]),
            "coupon_code": chance.choice([None, None, self.percent, self.fixed, self.once, "NOSUCHCODE"]),
            "kind": chance.choice([None, None, None, "new", "renewal", "change"]),
            "effective": chance.choice([None, None, "now", "period_end"]),
        }
        if self.wished and chance.random() < 0.5:
            return self.wished[-1] | chance.choice([{}, {}, {}, {"customer_name": chance.choice("AB")}])
        wished = {
            "plan_id": chance.choice([1, 2, 3]),
            "billing_cycle": chance.choice(["monthly", "yearly"]),
            "customer_name": chance.choice("AB"),
        } | {name: value for name, value in optional.items() if value is not None}
        self.wished.append(wished)
        return wished

    async def step(self) -> bool:
        """Ask, then order the same; return whether it was placed."""
        self.billing.clock.advance(
            timedelta(seconds=self.chance.choice([60, 60, 900, self.chance.randrange(12 * 86_400)]))
        )
        await self.billing.calendar.advance(self.tenant_id)
        wanted = order_body(**self.wish())
        asked = await self.client.post(PREVIEW, json=wanted)
        answer = await self.client.post(ORDERS, json=wanted)
        self.told.append(f"{wanted}: {asked.status_code} {answer.status_code}")
        if answer.status_code != 201:
            assert (asked.status_code, asked.json()["code"]) == (answer.status_code, answer.json()["code"])
            return False
        shown, order = asked.json(), answer.json()
        self.ids.append(order["id"])
        assert asked.status_code == 200, asked.text
        assert {name: shown[name] for name in SHOWN} == {name: order[name] for name in SHOWN}
        if order["payment_status"] == "paid":
            assert (shown["due_amount"].strip("0."), shown["payment_methods"]) == ("", [])
        else:
            await self.pay(shown, order)
        return True

    async def pay(self, shown: dict[str, Any], order: dict[str, Any]) -> None:
        by_transfer = [one for one in shown["payment_methods"] if one["name"] == "bank_transfer"]
        if not by_transfer:
            assert shown["currency"] != "XAF" or not shown["due_amount"].strip("0.")
            return
        body = {"payment_method_id": 3}
        answer = await self.client.post(f"{ORDERS}{order['id']}/initiate_payment/", json=body)
        assert answer.status_code == 200, answer.text
        said = answer.json()["bank_details"]
        assert (said["amount"], said["currency"]) == (shown["due_amount"], shown["currency"])
        assert said["amount"] == by_transfer[0]["charged_amount"]
        if order["kind"] != "new" and self.chance.random() < 0.7:
            await pay_by_transfer(self.billing, self.client, order)


@pytest.mark.invariant("S16")
@pytest.mark.invariant("S92")
@pytest.mark.parametrize("seed", [12, 13, 14])
class TestOverRandomWishes:
    @pytest.fixture
    def billing_settings(self, seed: int) -> dict[str, Any]:
        if seed % 2:
            return {}
        return {"issuer_vat_registered": True, "issuer_rccm": "RC/DLA/2026/B/1", "issuer_niu": "M012600001234A"}

    async def test_an_order_costs_what_its_preview_said(self, still: Billing, seed: int) -> None:
        asker = Asker(still, seed)
        await asker.begin()
        try:
            placed = [await asker.step() for _ in range(30)]
        except AssertionError as error:
            error.add_note(f"seed {seed}:\n" + "\n".join(asker.told))
            raise
        assert sum(placed) >= 8
        assert len(set(asker.ids)) < len(asker.ids), "some of them are the order of before"
        rows = await still.rows(
            "select sum(amount_minor)::bigint as sum from ledger_postings where tenant_id = $1 group by currency",
            t=UUID(str(asker.tenant_id)),
        )
        assert {row["sum"] for row in rows} == {0}
