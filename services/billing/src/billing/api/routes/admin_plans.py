"""``/api/admin/plans/…``: change what is sold. What was bought keeps its version."""

from typing import Annotated

from common.web import LanguageDep, Page, ReadReason
from fastapi import APIRouter, Path

from billing.api.amounts import positive
from billing.api.dependencies import Finance, ToolsDep
from billing.api.schemas.catalogue import ChangePlanIn, PlanOut, PlanVersionOut
from billing.errors import PlanNotFound
from billing.usecases.change_plan import PlanChange, change_plan

router = APIRouter(prefix="/api/admin/plans", tags=["back office"])
PlanId = Annotated[int, Path(ge=0, le=2**31 - 1)]


@router.patch("/{plan_id}/")
async def change(
    plan_id: PlanId, wanted: ChangePlanIn, who: Finance, tools: ToolsDep, language: LanguageDep
) -> PlanOut:
    asked = PlanChange(
        prices={
            (price.billing_cycle, price.currency): positive(price.currency, price.amount) for price in wanted.prices
        },
        quotas={str(name): limit for name, limit in wanted.quotas.items()},
        trial_days=wanted.trial_days,
        is_active=wanted.is_active,
        also_renewals=wanted.also_renewals,
    )
    async with tools.store.for_system("staff") as uow:
        changed = await change_plan(uow, plan_id, asked, who=who.user_id, reason=wanted.reason)
    return PlanOut.of(changed, language, tools.settings.catalogue_currency)


@router.get("/{plan_id}/versions/")
async def list_versions(plan_id: PlanId, who: Finance, reason: ReadReason, tools: ToolsDep) -> Page[PlanVersionOut]:
    async with tools.store.for_system("staff") as uow:
        versions = await uow.catalogue.versions(plan_id)
        await uow.audit("plan.versions_listed", str(plan_id), actor=who.user_id, reason=reason)
    if not versions:
        raise PlanNotFound
    return Page(results=[PlanVersionOut.model_validate(version) for version in versions])
