"""``/coupons/validate/``: what a coupon would take off; it reveals no coupon that was not named."""

from typing import Annotated

from common.auth import Principal, requires_person
from common.web import LanguageDep
from fastapi import APIRouter

from billing.api.dependencies import ToolsDep
from billing.api.offering import selling_of
from billing.api.schemas.orders import ValidateIn, ValidateOut
from billing.domain.coupon import CouponRefusal
from billing.domain.money import Money
from billing.domain.pricing import amounts
from billing.errors import CouponRefused
from billing.usecases.steps.drafting import price_of

router = APIRouter(prefix="/api/tenants/coupons", tags=["coupons"])
Person = Annotated[Principal, requires_person()]


@router.post("/validate/")
async def validate(wanted: ValidateIn, who: Person, tools: ToolsDep, language: LanguageDep) -> ValidateOut:
    tenant_id, mine = who.active_tenant_id, tools.store.for_user(who.user_id)
    door = tools.store.for_tenant(tenant_id, acting=who.user_id) if tenant_id else mine
    async with tools.trying_coupons.counted(who.user_id, wanted.code) as tried, door as uow:
        running = await uow.subscriptions.find(tenant_id) if tenant_id else None
        plan, price = await price_of(
            uow, selling_of(tools), wanted.plan_id, wanted.billing_cycle, wanted.currency, running
        )
        coupon = await uow.coupons.find(wanted.code)
        refusal: CouponRefusal | None = CouponRefusal.UNKNOWN
        if coupon is not None:
            refusal = coupon.refusal(
                plan_id=plan.id, subtotal=price, now=uow.clock.now()
            ) or await uow.coupons.customer_refusal(coupon, who.user_id)
        tried.was_wrong = refusal is not None
    valid = coupon is not None and refusal is None
    discount = coupon.discount(price) if coupon is not None and valid else Money.zero(price.currency)
    priced = amounts(price, discount, tools.issuer.tax_rates)
    return ValidateOut(
        valid=valid,
        discount_amount=priced.discount.decimal(),
        total_amount=priced.total.decimal(),
        currency=price.currency,
        reason=refusal.value if refusal else None,
        message=CouponRefused(reason=refusal.value).text(language) if refusal else None,
    )
