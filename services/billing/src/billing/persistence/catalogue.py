"""Plans, prices and payment methods: nobody's rows, the same for everyone."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.money import Money
from billing.domain.plan import BillingCycle, PaymentMethod, Plan
from billing.persistence.tables import payment_methods, plan_prices, plan_versions, plans


def _plan(row: Row[Any], prices: list[Row[Any]]) -> Plan:
    return Plan(
        id=row.id,
        name=row.name,
        display_name=row.display_name,
        description=row.description,
        description_en=row.description_en,
        quotas=row.quotas,
        features=row.features,
        retention=row.retention,
        is_active=row.is_active,
        version=row.version,
        renewals_from=row.renewals_from,
        trial_days=row.trial_days,
        prices={
            (BillingCycle(price.billing_cycle), price.currency): Money(price.amount_minor, price.currency)
            for price in prices
            if price.plan_id == row.id
        },
    )


SEEDED = "create_plans"
"""The reason of what the seed writes."""


@dataclass(frozen=True, slots=True)
class PlanVersion:
    """One version of a plan; ``changed_by`` is ``None`` for the seed's."""

    plan_id: int
    version: int
    terms: dict[str, Any]
    changed_by: UUID | None
    reason: str
    created_at: datetime


class Catalogue:
    """Reads what is sold; `seed` writes it."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def plans(self) -> list[Plan]:
        """Return the plans on sale, in the order of their ids."""
        rows = (await self._session.execute(select(plans).where(plans.c.is_active).order_by(plans.c.id))).all()
        prices = (
            await self._session.execute(
                select(plan_prices).order_by(plan_prices.c.billing_cycle, plan_prices.c.currency.desc())
            )
        ).all()
        return [_plan(row, list(prices)) for row in rows]

    async def plan(self, plan_id: int) -> Plan | None:
        """Return a plan on sale."""
        return next((plan for plan in await self.plans() if plan.id == plan_id), None)

    async def known(self, plan_id: int) -> Plan | None:
        """Return a plan, on sale or not: what somebody has may be sold no more."""
        row = (await self._session.execute(select(plans).where(plans.c.id == plan_id))).one_or_none()
        if row is None:
            return None
        prices = await self._session.execute(select(plan_prices).where(plan_prices.c.plan_id == plan_id))
        return _plan(row, list(prices.all()))

    async def methods(self) -> list[PaymentMethod]:
        """Return the payment methods that are switched on in the catalogue."""
        rows = await self._session.execute(
            select(payment_methods).where(payment_methods.c.is_active).order_by(payment_methods.c.id)
        )
        return [PaymentMethod(**row._mapping) for row in rows]  # noqa: SLF001

    async def lock(self, plan_id: int) -> Plan | None:
        """Return a plan, on sale or not, and hold it: whoever changes it takes its next version."""
        row = (await self._session.execute(select(plans).where(plans.c.id == plan_id).with_for_update())).one_or_none()
        if row is None:
            return None
        prices = await self._session.execute(select(plan_prices).where(plan_prices.c.plan_id == plan_id))
        return _plan(row, list(prices.all()))

    async def as_bought(self, plan: Plan, version: int) -> Plan:
        """Return a plan as it was in the version that somebody renews; as it is now where that one is not kept up."""
        if version >= plan.version or version < plan.renewals_from:
            return plan
        terms = await self._session.scalar(
            select(plan_versions.c.terms).where(plan_versions.c.plan_id == plan.id, plan_versions.c.version == version)
        )
        return plan.at(version, terms) if terms is not None else plan

    async def versions(self, plan_id: int) -> list[PlanVersion]:
        """Return a plan's versions, newest first."""
        rows = await self._session.execute(
            select(plan_versions).where(plan_versions.c.plan_id == plan_id).order_by(plan_versions.c.version.desc())
        )
        return [PlanVersion(**row._mapping) for row in rows]  # noqa: SLF001

    async def change(self, plan: Plan, *, who: UUID | None, reason: str) -> None:
        """Write a held plan with a version of its own; what was ordered and bought before keeps its copy."""
        values = {name: value for name, value in plan.terms().items() if name != "prices"}
        values |= {"version": plan.version, "renewals_from": plan.renewals_from}
        await self._session.execute(update(plans).where(plans.c.id == plan.id).values(**values))
        await self._prices(plan)
        await self._keep(plan, who, reason)

    async def _prices(self, plan: Plan) -> None:
        for (cycle, currency), price in plan.prices.items():
            await self._session.execute(
                insert(plan_prices)
                .values(plan_id=plan.id, billing_cycle=cycle, currency=currency, amount_minor=price.amount_minor)
                .on_conflict_do_update(
                    index_elements=["plan_id", "billing_cycle", "currency"], set_={"amount_minor": price.amount_minor}
                )
            )

    async def _keep(self, plan: Plan, who: UUID | None, reason: str) -> None:
        await self._session.execute(
            insert(plan_versions).values(
                plan_id=plan.id,
                version=plan.version,
                terms=plan.terms(),
                changed_by=who,
                reason=reason,
                created_at=func.now(),
            )
        )

    async def seed_plan(self, plan: Plan) -> None:
        """Insert a plan, or correct one that nobody but the seed has changed; what staff changed stays as it is."""
        values = {name: value for name, value in plan.terms().items() if name != "prices"}
        inserted = await self._session.execute(
            insert(plans).values(id=plan.id, name=plan.name, **values).on_conflict_do_nothing().returning(plans.c.id)
        )
        if inserted.one_or_none() is not None:
            await self._prices(plan)
            await self._keep(plan, None, SEEDED)
            return
        current = await self.lock(plan.id)
        assert current is not None
        known = await self.versions(plan.id)
        if not known:  # from before there were versions
            await self._keep(current, None, SEEDED)
        elif known[0].changed_by is not None:
            return
        if current.terms() != plan.terms():
            changed = replace(plan, version=current.version + 1, renewals_from=current.renewals_from)
            await self.change(changed, who=None, reason=SEEDED)

    async def seed_method(self, method: PaymentMethod) -> None:
        """Insert or correct a payment method; whether it is switched on stays as an operator left it."""
        texts = {
            "name": method.name,
            "display_name": method.display_name,
            "description": method.description,
            "description_en": method.description_en,
            "is_automatic": method.is_automatic,
        }
        await self._session.execute(
            insert(payment_methods)
            .values(id=method.id, is_active=method.is_active, **texts)
            .on_conflict_do_update(index_elements=["id"], set_=texts)
        )
