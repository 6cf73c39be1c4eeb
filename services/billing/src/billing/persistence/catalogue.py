"""Plans, prices and payment methods: nobody's rows, the same for everyone."""

from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.money import Money
from billing.domain.plan import BillingCycle, PaymentMethod, Plan
from billing.persistence.tables import payment_methods, plan_prices, plans


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
        prices={
            (BillingCycle(price.billing_cycle), price.currency): Money(price.amount_minor, price.currency)
            for price in prices
            if price.plan_id == row.id
        },
    )


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

    async def methods(self) -> list[PaymentMethod]:
        """Return the payment methods that are switched on in the catalogue."""
        rows = await self._session.execute(
            select(payment_methods).where(payment_methods.c.is_active).order_by(payment_methods.c.id)
        )
        return [PaymentMethod(**row._mapping) for row in rows]  # noqa: SLF001

    async def seed_plan(self, plan: Plan) -> None:
        """Insert or correct a plan and its prices."""
        values = {
            "name": plan.name,
            "display_name": plan.display_name,
            "description": plan.description,
            "description_en": plan.description_en,
            "quotas": plan.quotas,
            "features": plan.features,
            "retention": plan.retention,
            "is_active": plan.is_active,
        }
        await self._session.execute(
            insert(plans).values(id=plan.id, **values).on_conflict_do_update(index_elements=["id"], set_=values)
        )
        for (cycle, currency), price in plan.prices.items():
            await self._session.execute(
                insert(plan_prices)
                .values(plan_id=plan.id, billing_cycle=cycle, currency=currency, amount_minor=price.amount_minor)
                .on_conflict_do_update(
                    index_elements=["plan_id", "billing_cycle", "currency"], set_={"amount_minor": price.amount_minor}
                )
            )

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
