"""Three years of a customer's life, day by day on a frozen clock, against a plain model of what he was promised.

The model knows dates and counts only: it shares no rule with the code, so that each finds the other's mistakes.
"""

import calendar
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from billing.testing import ORDERS, Billing, pay_by_transfer, place, subscribed
from common.testing import FrozenClock

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

DAY = timedelta(days=1)
START = datetime(2030, 1, 31, 9, tzinfo=UTC)
YEARS = 3
SUBSCRIPTION = "/api/tenants/subscription/"
PRICES = {1: 25_000, 2: 50_000, 3: 100_000}
NAMES = {1: "bronze", 2: "silver", 3: "gold"}
MONTHS = {"monthly": 1, "yearly": 12}


def later(start: datetime, months: int, anchor: int) -> datetime:
    year, month = start.year, start.month
    for _ in range(months):
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return datetime(year, month, min(anchor, calendar.monthrange(year, month)[1]), start.hour, tzinfo=UTC)


@dataclass
class Model:
    """What the customer was promised: his periods, how he stands, what he was told and what he owes for."""

    status: str = "active"
    since: datetime = START
    plan: int = 2
    cancelled: bool = False
    cycle: str = "monthly"
    anchor: int = START.day
    periods: list[list[datetime]] = field(default_factory=list)
    gaps: set[datetime] = field(default_factory=set)
    plan_from: dict[datetime, int] = field(default_factory=dict)
    paid: list[int] = field(default_factory=list)
    mails: Counter[str] = field(default_factory=Counter)
    facts: list[str] = field(default_factory=list)

    @property
    def ends_at(self) -> datetime:
        return self.periods[-1][1]

    def has_renewal_ahead(self, cycle: str, now: datetime) -> bool:
        """From the first reminder on the same order is there already, until the subscription ends."""
        same = self.cycle == cycle and not self.cancelled
        return same and self.status != "ended" and now >= self.ends_at - 7 * DAY

    def tell(self, mail: str | None, fact: str | None, status: str | None, now: datetime) -> None:
        if mail:
            self.mails[mail] += 1
        if fact:
            self.facts.append(fact)
        if status:
            self.status, self.since = status, now

    def pass_day(self, now: datetime) -> None:
        """What the passing of time alone does on this day."""
        left, stands = (self.ends_at - now).days, (now - self.since).days
        if now in self.plan_from:
            self.plan = self.plan_from[now]
            self.facts.append("plan_changed")
        if self.status == "active" and not self.cancelled and left in {7, 3, 1}:
            self.tell("renewal_due", "renewal_due", None, now)
        if self.status == "active" and left <= 0 and self.cancelled:
            self.tell(None, "ended", "ended", now)
        elif self.status == "active" and left <= 0:
            self.tell("subscription_past_due", "past_due", "past_due", now)
        elif self.status == "past_due" and stands == 7:
            self.tell(None, "suspended", "suspended", now)
        elif self.status == "suspended" and stands == 30:
            self.tell(None, "ended", "ended", now)
        elif self.status == "ended" and 60 - stands in {30, 7, 1}:
            self.tell("deletion_warning", None, None, now)
        elif self.status == "ended" and stands == 60:
            self.tell(None, "deletion_due", None, now)

    def pay(self, now: datetime, cycle: str, price: int, *, fact: str | None, from_now: bool = False) -> None:
        """A period is paid for: it follows the last one, unless nothing was served or it replaces the running one."""
        starts = self.ends_at if self.periods else now
        if from_now or self.status in {"suspended", "ended"}:
            self.anchor, starts = now.day, now
            if self.periods and now > self.ends_at:
                self.gaps.add(now)
            elif self.periods:
                self.periods[-1][1] = now
        self.periods.append([starts, later(starts, MONTHS[cycle], self.anchor)])
        self.paid.append(price)
        self.cycle = cycle
        self.mails.update(["payment_confirmed", "invoice"])
        self.tell(None, fact, "active", now)
        self.cancelled = False


class Life:
    """The customer, his model and billing; each act does to both what he does."""

    def __init__(self, billing: Billing, owner: Any, tenant_id: UUID, model: Model) -> None:
        self.billing, self.owner, self.tenant_id, self.model = billing, owner, tenant_id, model
        self.abandoned: dict[str, Any] = {}

    @property
    def now(self) -> datetime:
        return self.billing.clock.now()

    async def _transfer(self, order: dict[str, Any]) -> None:
        await pay_by_transfer(self.billing, self.owner, order)
        self.model.mails["how_to_pay"] += 1

    async def renew(self, cycle: str = "monthly") -> None:
        """He orders for himself."""
        order = await place(self.owner, plan_id=self.model.plan, billing_cycle=cycle)
        assert order["kind"] == "renewal"
        if not self.model.has_renewal_ahead(cycle, self.now):
            self.model.mails["order_received"] += 1
        await self._transfer(order)
        self.model.pay(self.now, cycle, int(order["total_amount"]), fact="renewed")

    async def pay_what_was_ordered_ahead(self) -> None:
        found = (await self.owner.get(SUBSCRIPTION)).json()
        order = (await self.owner.get(f"{ORDERS}{found['renewal_order_id']}/")).json()
        assert int(order["total_amount"]) == PRICES[self.model.plan]
        await self._transfer(order)
        self.model.pay(self.now, order["billing_cycle"], PRICES[self.model.plan], fact="renewed")

    async def agree(self) -> None:
        body = {"enabled": True, "phone_number": "237670000001"}
        assert (await self.owner.post(f"{SUBSCRIPTION}auto_renew/", json=body)).status_code == 200

    async def confirm_on_the_phone(self) -> None:
        """Three days before the end his phone was asked, by the calendar and by nobody else."""
        rows = await self.billing.rows(
            "select id, order_id from payments where tenant_id = $1 and method = 'mtn_momo'", t=self.tenant_id
        )
        assert len(rows) == 1
        order = (await self.owner.get(f"{ORDERS}{rows[0]['order_id']}/")).json()
        # The provider takes real time, which does not pass here: it is asked until it has said its word.
        while order["payment_status"] != "paid":
            await self.billing.checkout.ask(self.tenant_id, rows[0]["id"])
            order = (await self.owner.get(f"{ORDERS}{rows[0]['order_id']}/")).json()
        assert (await self.owner.post(f"{SUBSCRIPTION}auto_renew/", json={"enabled": False})).status_code == 200
        self.model.pay(self.now, "monthly", PRICES[self.model.plan], fact="renewed")

    async def upgrade(self, plan: int) -> None:
        """The unused part of what runs is credited, to the second."""
        order = await place(self.owner, plan_id=plan)
        starts, ends = self.model.periods[-1]
        unused = Fraction(int((ends - self.now).total_seconds()), int((ends - starts).total_seconds()))
        credit = int(self.model.paid[-1] * unused + Fraction(1, 2))
        assert (order["kind"], int(order["credit_amount"])) == ("change", credit)
        self.model.mails["order_received"] += 1
        await self._transfer(order)
        self.model.plan = plan
        self.model.pay(self.now, "monthly", PRICES[plan] - credit, fact="plan_changed", from_now=True)

    async def downgrade(self, plan: int) -> None:
        """The smaller plan begins when what is paid is over."""
        order = await place(self.owner, plan_id=plan)
        assert datetime.fromisoformat(order["effective_at"]) == self.model.ends_at
        self.model.mails["order_received"] += 1
        self.model.plan_from[self.model.ends_at] = plan
        await self._transfer(order)
        self.model.pay(self.now, "monthly", PRICES[plan], fact=None)

    async def cancel(self) -> None:
        assert (await self.owner.post(f"{SUBSCRIPTION}cancel/")).status_code == 200
        self.model.cancelled = True
        self.model.mails["subscription_cancelled"] += 1

    async def resume(self) -> None:
        assert (await self.owner.post(f"{SUBSCRIPTION}resume/")).status_code == 200
        self.model.cancelled = False

    async def abandon_an_order(self) -> None:
        """A larger plan for a year, which he then does not pay."""
        self.abandoned = await place(self.owner, plan_id=3, billing_cycle="yearly")
        self.model.mails["order_received"] += 1

    async def find_it_expired(self) -> None:
        assert (await self.owner.get(f"{ORDERS}{self.abandoned['id']}/")).json()["status"] == "cancelled"


Act = tuple[Callable[[Model, datetime], bool], Callable[[Life], Awaitable[None]]]


def before_end(days: int) -> Callable[[Model, datetime], bool]:
    return lambda model, now: now == model.ends_at - days * DAY


def after_end(days: int) -> Callable[[Model, datetime], bool]:
    return before_end(-days)


def after_start(days: int) -> Callable[[Model, datetime], bool]:
    return lambda model, now: now == model.periods[-1][0] + days * DAY


LIFE: list[Act] = [
    (before_end(10), Life.renew),
    (before_end(7), Life.pay_what_was_ordered_ahead),
    (before_end(1), Life.pay_what_was_ordered_ahead),
    (after_end(0), Life.pay_what_was_ordered_ahead),
    (after_end(3), Life.renew),
    (before_end(20), Life.agree),
    (before_end(3), Life.confirm_on_the_phone),
    (after_end(20), Life.pay_what_was_ordered_ahead),
    (after_start(11), lambda life: life.upgrade(3)),
    (after_start(5), Life.cancel),
    (after_start(9), Life.resume),
    (before_end(12), lambda life: life.downgrade(1)),
    (before_end(2), lambda life: life.renew("yearly")),
    (after_start(40), Life.abandon_an_order),
    (after_start(54), Life.find_it_expired),
    (before_end(100), Life.cancel),
    (after_end(20), Life.renew),
    (before_end(3), Life.pay_what_was_ordered_ahead),
    (before_end(5), lambda life: life.renew("monthly")),
]
"""Each act on the first day, after the one before it, on which its condition holds; at the end he pays no more."""


@pytest.fixture
async def billing(world: Any) -> Any:
    """A billing whose clock stands still, between the same providers."""
    frozen = Billing(world.billing.database, world.billing.settings, world.http, FrozenClock(START))
    async with frozen.superuser() as connection:
        # What other tests have left behind has its own calendar.
        await connection.execute("update subscriptions set next_step_at = null")
        await connection.execute("update orders set expires_at = null")
    yield frozen
    await frozen.close()


async def test_three_years_of_a_customers_life_are_what_he_was_promised(billing: Billing) -> None:
    owner, tenant_id = await subscribed(billing)
    model = Model()
    model.mails.update(["order_received", "how_to_pay"])
    model.pay(START, "monthly", PRICES[2], fact=None)
    life, script = Life(billing, owner, tenant_id, model), list(LIFE)
    async with billing.superuser() as eye:
        for _ in range(YEARS * 365 + 1):
            billing.clock.advance(DAY)
            model.pass_day(life.now)
            await billing.calendar.run_due()
            while script and script[0][0](model, life.now):
                await script.pop(0)[1](life)
            row = await eye.fetchrow(
                "select status, ends_at, plan->>'name' as plan from subscriptions where tenant_id = $1", tenant_id
            )
            assert (row["status"], row["ends_at"], row["plan"]) == (
                model.status, model.ends_at, NAMES[model.plan],
            ), (life.now, model, len(script))  # fmt: skip
        assert script == []
        assert model.status == "ended"
        await _compare(eye, tenant_id, model)


async def _compare(eye: Any, tenant_id: UUID, model: Model) -> None:
    rows = await eye.fetch(
        "select p.order_id, p.starts_at, coalesce(p.replaced_at, p.ends_at) as ends_at, o.total_minor"
        " from subscription_periods p join orders o on o.tenant_id = p.tenant_id and o.id = p.order_id"
        " where p.tenant_id = $1 order by p.starts_at",
        tenant_id,
    )
    assert [[row["starts_at"], row["ends_at"]] for row in rows] == model.periods
    assert [row["total_minor"] for row in rows] == model.paid
    for (_, ended), (starts, _ends) in zip(model.periods, model.periods[1:], strict=False):
        assert starts == ended or starts in model.gaps

    invoices = await eye.fetch("select order_id, total_minor from invoices where tenant_id = $1", tenant_id)
    assert Counter(row["order_id"] for row in invoices) == Counter(row["order_id"] for row in rows)
    assert sum(row["total_minor"] for row in invoices) == sum(model.paid)

    balances = dict(
        await eye.fetch(
            "select account, sum(amount_minor)::bigint from ledger_postings where tenant_id = $1 group by account",
            tenant_id,
        )
    )
    assert sum(balances.values()) == 0
    assert (balances["receivable"], balances["unallocated"]) == (0, 0)
    assert balances["revenue"] == -sum(model.paid)

    mails = await eye.fetch("select key from mails where tenant_id = $1", tenant_id)
    assert Counter(row["key"].split(":")[0] for row in mails) == model.mails

    envelopes = [
        json.loads(row["envelope"])
        for row in await eye.fetch("select envelope from outbox where tenant_id = $1 order by position", tenant_id)
    ]
    told = [fact for fact in envelopes if fact["type"].startswith("subscription.")]
    assert [fact["type"].removeprefix("subscription.").removesuffix(".v1") for fact in told] == model.facts
    versions = [fact["aggregateversion"] for fact in told]
    assert versions == sorted(set(versions))
    assert Counter(fact["type"] for fact in envelopes)["payment.confirmed.v1"] == len(model.periods)
