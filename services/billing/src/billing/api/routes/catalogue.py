"""``/plans/`` and ``/payment-methods/``: public, what is on sale and how it can be paid here."""

from typing import Annotated, Any

from common.auth import public
from common.web import LanguageDep, Page
from fastapi import APIRouter, Path

from billing.api.dependencies import ToolsDep
from billing.api.offering import currencies_of
from billing.api.schemas.catalogue import FeatureOut, MethodOut, PlanOut, features_of
from billing.domain.money import Money
from billing.domain.plan import Method, Plan
from billing.errors import PlanNotFound

router = APIRouter(prefix="/api/tenants", tags=["plans"])
Anybody = Annotated[Any, public()]
PlanId = Annotated[int, Path(ge=0, le=2**31 - 1)]


async def _plan(tools: ToolsDep, plan_id: int) -> Plan:
    async with tools.store.for_system("catalogue") as uow:
        plan = await uow.catalogue.plan(plan_id)
    if plan is None:
        raise PlanNotFound
    return plan


@router.get("/plans/")
async def list_plans(_: Anybody, tools: ToolsDep, language: LanguageDep) -> Page[PlanOut]:
    async with tools.store.for_system("catalogue") as uow:
        plans = await uow.catalogue.plans()
    return Page(results=[PlanOut.of(plan, language, tools.settings.catalogue_currency) for plan in plans])


@router.get("/plans/{plan_id}/")
async def get_plan(_: Anybody, tools: ToolsDep, language: LanguageDep, plan_id: PlanId) -> PlanOut:
    return PlanOut.of(await _plan(tools, plan_id), language, tools.settings.catalogue_currency)


@router.get("/plans/{plan_id}/features/")
async def get_features(_: Anybody, tools: ToolsDep, language: LanguageDep, plan_id: PlanId) -> list[FeatureOut]:
    return features_of(await _plan(tools, plan_id), language)


@router.get("/payment-methods/")
async def list_methods(_: Anybody, tools: ToolsDep, language: LanguageDep) -> Page[MethodOut]:
    async with tools.store.for_system("catalogue") as uow:
        methods = await uow.catalogue.methods()
    offered = tools.settings.payment_methods
    return Page(
        results=[
            MethodOut.of(method, language, currencies_of(tools, Method(method.name)), _most(tools, Method(method.name)))
            for method in methods
            if method.name in offered
        ]
    )


def _most(tools: ToolsDep, method: Method) -> Money | None:
    provider = tools.checkout.provider(method)
    return provider.most if provider else None
