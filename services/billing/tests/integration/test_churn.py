"""Who left in a month, and what of the recurring revenue with them: from periods, the same whenever it is asked."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from billing.testing import Billing, pay_by_transfer, place
from common.ids import uuid7
from common.testing import FrozenClock

pytestmark = pytest.mark.integration

SILVER, A_YEARS_MONTH = 50_000, 41_667
"""What a month costs: of silver, and of a year of it at 500 000, half-up."""


class Customers:
    """Subscriptions of a year in which nobody else has any, under a clock that stands still."""

    def __init__(self, billing: Billing, clock: FrozenClock) -> None:
        self.billing, self.clock = billing, clock
        self.owners: dict[UUID, Any] = {}

    async def on(self, month: int, day: int) -> None:
        """Let time pass to noon of a day; the calendar steps every day."""
        wanted = self.clock.now().replace(month=month, day=day)
        assert wanted >= self.clock.now()
        while self.clock.now() < wanted:
            self.clock.advance(timedelta(days=1))
            for tenant_id in self.owners:
                await self.billing.calendar.advance(tenant_id)

    async def new(self, **changes: Any) -> UUID:
        me = uuid7()
        buyer = self.billing.client(user_id=me)
        order = await place(buyer, **changes)
        await pay_by_transfer(self.billing, buyer, order)
        tenant_id = await self.billing.provision(order)
        self.owners[tenant_id] = self.billing.client(user_id=me, tenant_id=tenant_id, roles=["owner"])
        return tenant_id

    async def renew(self, tenant_id: UUID, **changes: Any) -> None:
        owner = self.owners[tenant_id]
        await pay_by_transfer(self.billing, owner, await place(owner, **changes))

    async def cancel(self, tenant_id: UUID) -> None:
        answer = await self.owners[tenant_id].post("/api/tenants/subscription/cancel/")
        assert answer.status_code == 200, answer.text

    async def give_back(self, tenant_id: UUID) -> None:
        """Refund the first payment, all of it."""
        rows = await self.billing.rows("select id from payments where tenant_id = $1 order by id", t=tenant_id)
        maker, checker = (self.billing.client(staff=["finance"]) for _ in range(2))
        said = {"reason": "withdrawn"}
        asked = await maker.post(f"/api/admin/payments/{rows[0]['id']}/refunds/", json=said)
        path = f"/api/admin/refunds/{asked.json()['id']}"
        assert (await checker.post(f"{path}/approve/", json=said)).status_code == 200
        sent = await checker.post(f"{path}/record/", json=said | {"reference": f"VIR-{tenant_id}"})
        assert sent.status_code == 200

    async def month(self, month: int, year: int) -> dict[str, Any]:
        window = {"since": f"{year}-{month:02d}-01", "until": f"{year}-{month + 1:02d}-01"}
        answer = await self.billing.client(staff=["finance"]).get("/api/admin/revenue/", params=window)
        assert answer.status_code == 200, answer.text
        said = answer.json()
        money = {name: {one["currency"]: one["amount"] for one in said[name]} for name in MONEY}
        return {name: said[name] for name in COUNTS} | {name: int(money[name].get("XAF", 0)) for name in MONEY}


COUNTS = ("active_at_start", "ended", "active_subscriptions", "churn_percent")
MONEY = ("mrr_at_start", "mrr_churned", "mrr")


@pytest.fixture
async def customers(world: Any, year: int) -> AsyncIterator[Customers]:
    clock = FrozenClock(datetime(year, 5, 10, 12, tzinfo=UTC))
    still = Billing(world.billing.database, world.billing.settings, world.http, clock)
    yield Customers(still, clock)
    await still.close()


@pytest.mark.parametrize("year", [2041])
async def test_a_months_churn_is_the_same_whatever_became_of_its_customers_later(
    customers: Customers, year: int
) -> None:
    stays, leaves, cancels = [await customers.new() for _ in range(3)]
    await customers.new(billing_cycle="yearly")
    await customers.cancel(cancels)
    await customers.on(6, 5)
    await customers.new()
    await customers.renew(stays)
    await customers.on(7, 2)
    june = {
        "active_at_start": 4, "ended": 2, "active_subscriptions": 3, "churn_percent": "50.00",
        "mrr_at_start": 3 * SILVER + A_YEARS_MONTH, "mrr_churned": 2 * SILVER, "mrr": 2 * SILVER + A_YEARS_MONTH,
    }  # fmt: skip
    assert await customers.month(6, year) == june
    await customers.renew(stays, plan_id=3, kind="change")
    await customers.on(8, 20)
    await customers.renew(leaves)  # comes back after two months away
    await customers.on(10, 1)
    assert await customers.month(6, year) == june, "what happened later changes nothing of June"
    july = await customers.month(7, year)
    assert july["mrr_at_start"] == june["mrr"]
    assert july["active_at_start"] == june["active_subscriptions"]
    september = await customers.month(9, year)
    assert (september["active_at_start"], september["ended"]) == (2, 1), "who came back has left again"


@pytest.mark.parametrize("year", [2043])
async def test_who_pays_within_the_grace_never_left_and_who_does_not_left_at_its_end(
    customers: Customers, year: int
) -> None:
    await customers.on(5, 28)
    late, never = await customers.new(), await customers.new()
    await customers.on(7, 1)
    before = await customers.month(6, year)
    assert (before["active_at_start"], before["ended"], before["mrr"]) == (2, 0, 2 * SILVER), "both in their grace"
    await customers.on(7, 3)
    await customers.renew(late)
    await customers.on(9, 1)
    assert never in customers.owners
    assert await customers.month(6, year) == before
    july = await customers.month(7, year)
    assert (july["active_at_start"], july["ended"], july["churn_percent"]) == (2, 1, "50.00")
    assert (july["mrr_at_start"], july["mrr_churned"], july["mrr"]) == (2 * SILVER, SILVER, SILVER)


@pytest.mark.parametrize("year", [2045])
async def test_money_that_went_back_leaves_with_its_customer_on_that_day(customers: Customers, year: int) -> None:
    withdrawn, stays = await customers.new(), await customers.new(billing_cycle="yearly")
    await customers.on(6, 9)
    await customers.renew(withdrawn)
    before = await customers.month(6, year)
    assert (before["active_at_start"], before["ended"]) == (2, 0)
    await customers.on(7, 5)
    await customers.give_back(withdrawn)  # of a period that is over: what follows goes on
    assert (await customers.month(6, year))["ended"] == 0
    assert stays in customers.owners


@pytest.mark.parametrize("year", [2047])
async def test_a_refund_in_full_is_churn_at_once_and_has_no_grace(customers: Customers, year: int) -> None:
    withdrawn = await customers.new()
    await customers.new(billing_cycle="yearly")
    await customers.on(6, 3)
    await customers.give_back(withdrawn)
    today = await customers.month(6, year)
    assert (today["active_at_start"], today["ended"], today["mrr"]) == (2, 1, A_YEARS_MONTH)
    await customers.on(8, 1)
    await customers.renew(withdrawn)
    assert (await customers.month(6, year)) == today
