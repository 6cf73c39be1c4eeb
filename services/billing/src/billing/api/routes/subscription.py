"""``/subscription/``: the active organization's; its owner cancels it, takes that back, and agrees to renewals."""

from typing import Annotated

from common.auth import Principal, requires
from fastapi import APIRouter

from billing.api.dependencies import Tools, ToolsDep
from billing.api.offering import charged_in
from billing.api.schemas.subscription import AutoRenewIn, SubscriptionOut
from billing.domain.plan import METHOD_LABELS, Method
from billing.domain.subscription import Subscription
from billing.errors import (
    MethodOfAnotherCurrency,
    MethodUnknown,
    PhoneNumberForeign,
    PhoneNumberInvalid,
    PhoneNumberMissing,
    SubscriptionNotFound,
)
from billing.persistence.unit_of_work import UnitOfWork
from billing.ports import ForeignNumber
from billing.usecases.steer_subscription import agree_to_renewal, cancel_subscription, resume_subscription

router = APIRouter(prefix="/api/tenants/subscription", tags=["subscription"])
Member = Annotated[Principal, requires()]
Owner = Annotated[Principal, requires("owner")]


async def _answer(tools: Tools, uow: UnitOfWork, subscription: Subscription) -> SubscriptionOut:
    periods = await uow.subscriptions.history()
    renewal = await uow.orders.renewal_of(subscription.plan.id, subscription.ends_at)
    return SubscriptionOut.of(subscription, periods, renewal, tools.settings.terms, uow.clock.now())


@router.get("/")
async def read(who: Member, tools: ToolsDep) -> SubscriptionOut:
    async with tools.store.for_tenant(who.tenant_id) as uow:
        subscription = await uow.subscriptions.find(who.tenant_id)
        if subscription is None:
            raise SubscriptionNotFound
        return await _answer(tools, uow, subscription)


@router.post("/cancel/")
async def cancel(who: Owner, tools: ToolsDep) -> SubscriptionOut:
    async with tools.store.for_tenant(who.tenant_id) as uow:
        subscription = await cancel_subscription(uow, actor=who.user_id, issuer=tools.issuer)
        return await _answer(tools, uow, subscription)


@router.post("/resume/")
async def resume(who: Owner, tools: ToolsDep) -> SubscriptionOut:
    async with tools.store.for_tenant(who.tenant_id) as uow:
        return await _answer(tools, uow, await resume_subscription(uow, actor=who.user_id))


@router.post("/auto_renew/")
async def auto_renew(wanted: AutoRenewIn, who: Owner, tools: ToolsDep) -> SubscriptionOut:
    phone_number = _checked_phone(tools, wanted) if wanted.enabled else None
    async with tools.store.for_tenant(who.tenant_id) as uow:
        if wanted.enabled:
            _must_take(tools, await uow.subscriptions.find(who.tenant_id))
        return await _answer(tools, uow, await agree_to_renewal(uow, phone_number, actor=who.user_id))


def _must_take(tools: Tools, subscription: Subscription | None) -> None:
    if subscription is not None and charged_in(tools, Method.MTN_MOMO, subscription.currency) is None:
        raise MethodOfAnotherCurrency(method=METHOD_LABELS[Method.MTN_MOMO], currency=subscription.currency)


def _checked_phone(tools: Tools, wanted: AutoRenewIn) -> str:
    if tools.checkout.provider(Method.MTN_MOMO) is None:
        raise MethodUnknown
    if not wanted.phone_number:
        raise PhoneNumberMissing
    try:
        return tools.read_phone_number(wanted.phone_number)
    except ForeignNumber as foreign:
        raise PhoneNumberForeign(country_code=str(foreign)) from None
    except ValueError:
        raise PhoneNumberInvalid from None
