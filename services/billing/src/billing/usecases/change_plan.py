"""Change what a plan costs or grants: a new version, for whoever orders from now on."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

from billing.domain.money import Money
from billing.domain.plan import BillingCycle, Plan
from billing.errors import PlanNotFound
from billing.persistence.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanChange:
    """What changes; prices and quotas that are not named stay."""

    prices: Mapping[tuple[BillingCycle, str], Money] = field(default_factory=dict)
    quotas: Mapping[str, int] = field(default_factory=dict)
    trial_days: int | None = None
    is_active: bool | None = None
    also_renewals: bool = False


async def change_plan(uow: UnitOfWork, plan_id: int, change: PlanChange, *, who: UUID, reason: str) -> Plan:
    """Write a plan's next version. Orders, subscriptions and their renewals keep the one that was bought.

    Args:
        uow: Open for staff.
        plan_id: Which.
        change: What changes; with nothing in it a version is made all the same, so that it says who asked for it.
        who: The person of finance.
        reason: Kept with the version and in the audit log.

    Raises:
        PlanNotFound: No such plan.
    """
    plan = await uow.catalogue.lock(plan_id)
    if plan is None:
        raise PlanNotFound
    version = plan.version + 1
    changed = replace(
        plan,
        prices=plan.prices | dict(change.prices),
        quotas=plan.quotas | dict(change.quotas),
        trial_days=plan.trial_days if change.trial_days is None else change.trial_days,
        is_active=plan.is_active if change.is_active is None else change.is_active,
        version=version,
        renewals_from=version if change.also_renewals else plan.renewals_from,
    )
    await uow.catalogue.change(changed, who=who, reason=reason)
    await uow.audit("plan.changed", plan.name, actor=who, reason=reason, details={"version": version})
    return changed
