"""Who takes part in a random life, and what goes wrong on their lines."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any
from uuid import UUID

from billing.testing import Billing
from common.ids import uuid7

from services.billing.tests.integration.lives.plain_books import PlainBooks
from services.billing.tests.integration.lives.plain_rows import GivenBack

START = datetime(2031, 1, 31, 9, tzinfo=UTC)
SUBSCRIPTION = "/api/tenants/subscription/"
SILENT = {"target": "delivery", "drop": "before"}


class Beginning:
    """Who lives: one customer, two people of finance, the plain books, and one source of chance for all of them.

    What would happen at once happens one by one, in an order of chance, so that a seed makes the same life again; or,
    ``crowded``, really at once: then it does not, and `learn` follows the order in which it was committed.
    """

    def __init__(self, world: Any, billing: Billing, eye: Any, seed: int, *, crowded: bool) -> None:
        self.world, self.billing, self.eye, self.crowded = world, billing, eye, crowded
        self.chance = random.Random(seed)
        self.me = uuid7()
        self.customer = billing.client(user_id=self.me)
        self.maker, self.checker = (billing.client(staff=["finance"]) for _ in range(2))
        self.front = billing.client(anonymous=True)
        self.tenant_id: UUID | None = None
        self.is_owner = False
        self.books: PlainBooks
        self.by_hand: dict[str, GivenBack] = {}
        self.asked: dict[str, GivenBack] = {}
        self.seen = 0
        self.told: list[str] = []
        self.mtn_said: dict[str, str] = {}
        self.coupons: dict[str, tuple[int, int]] = {}
        self._receipts: dict[str, str | None] = {}

    @property
    def store(self) -> Any:
        return self.world.paypal.paypal.store

    async def rows(self, statement: str, **values: Any) -> list[Any]:
        return [dict(row) for row in await self.eye.fetch(statement, *values.values())]

    def note(self, text: str) -> None:
        self.told.append(f"{self.billing.clock.now():%Y-%m-%d %H:%M:%S} {text}")

    async def at_once(self, *acts: Callable[[], Awaitable[Any]]) -> list[Any]:
        """Let several people, or calls of one, do something at the same time; returns what came of each."""
        if self.crowded:
            return list(await asyncio.gather(*(act() for act in acts)))
        return [await act() for act in self.chance.sample(acts, len(acts))]

    async def begin(self) -> None:
        plans = (await self.customer.get("/api/tenants/plans/")).json()["results"]
        prices = {}
        for plan in plans:
            prices[plan["id"], 1], prices[plan["id"], 12] = int(plan["monthly_price"]), int(plan["yearly_price"])
        issuer = self.billing.tools.issuer
        rates = tuple(Fraction(rate.thousandths, 100_000) for rate in issuer.tax_rates)
        rows = await self.rows("select id, trial_days from plans")
        self.books = PlainBooks(self.billing.clock.now(), prices, rates, {row["id"]: row["trial_days"] for row in rows})
        await self.quiet()
        await self.place_order()

    async def quiet(self) -> None:
        for provider in (self.world.paypal, self.world.momo):
            await self.world.faults(provider, SILENT)

    async def trouble(self) -> None:
        """The next call of a provider goes wrong, or does not."""
        rule: dict[str, Any] = {"target": "request", "times": 1}
        rule |= self.chance.choice([{"drop": "before"}, {"drop": "after"}, {"status": 503}])
        provider, path = self.chance.choice([(self.world.paypal, "/v2/*"), (self.world.momo, "/collection/v1_0/*")])
        rule["match"] = {"path": path}
        if self.chance.random() < 0.35:
            await self.world.faults(provider, SILENT, rule)
            self.note(f"trouble ahead {rule}")
