"""``/api/admin/…``: what finance needs now: transfers that wait, their receipts, new coupons.

Every read and act has a reason, and a row of the audit log in its own transaction: without the row there is no answer.
"""

from typing import Annotated, Any
from uuid import UUID

from common.idempotency import once
from common.ids import uuid7
from common.web import IdempotencyKey, LanguageDep, Page, PagingDep, ReadReason
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from billing.api.amounts import positive
from billing.api.dependencies import Finance, ToolsDep
from billing.api.looking_up import read_by_staff
from billing.api.receipts import receipt_file
from billing.api.schemas.office import OfficeCouponOut
from billing.api.schemas.payments import CouponIn, CouponOut, RegisterTransferIn, SwitchIn, TransferOut
from billing.domain.coupon import Coupon, normalised
from billing.domain.payment import PaymentStatus
from billing.domain.plan import Method
from billing.errors import (
    CouponCodeTaken,
    CouponNeverHolds,
    CouponNotFound,
    CouponTermsInvalid,
    OrderNotFound,
    PaymentNotFound,
    PlanNotFound,
    ReceiptNotFound,
)
from billing.usecases.register_transfer import register_transfer

router = APIRouter(prefix="/api/admin", tags=["back office"])


@router.get("/payments/")
async def list_payments(
    who: Finance,
    reason: ReadReason,
    tools: ToolsDep,
    language: LanguageDep,
    paging: PagingDep,
    status: Annotated[
        PaymentStatus | None,
        Query(description="Where nothing else is asked for by default «submitted»: transfers that wait for a check"),
    ] = None,
    method: Annotated[Method | None, Query()] = None,
    payment_id: Annotated[UUID | None, Query()] = None,
    order_id: Annotated[UUID | None, Query()] = None,
    organization_id: Annotated[UUID | None, Query()] = None,
) -> Page[TransferOut]:
    if not any((status, method, payment_id, order_id, organization_id)):
        status = PaymentStatus.SUBMITTED
    async with tools.store.for_system("staff") as uow:
        payments = await uow.payments.page(
            paging.after,
            paging.rows,
            status=status,
            method=method,
            payment_id=payment_id,
            order_id=order_id,
            tenant_id=organization_id,
        )
        receipts = await uow.receipts.repeats([payment.id for payment in payments])
        await uow.audit(
            "payments.listed_by_staff", f"status={status}", actor=who.user_id, reason=reason, tenant_id=organization_id
        )
    return paging.page(
        payments, lambda payment: TransferOut.of_tenant(payment, language, receipts), lambda payment: (payment.id,)
    )


@router.get("/payments/{payment_id}/receipt/", response_class=Response)
async def get_receipt(payment_id: UUID, who: Finance, reason: ReadReason, tools: ToolsDep) -> Response:
    async with tools.store.for_system("staff") as uow:
        payment = await uow.payments.find(payment_id)
        await read_by_staff(uow, payment, PaymentNotFound, "receipt", payment_id, who=who, reason=reason)
        receipt = await uow.receipts.newest_of(payment_id)
    if receipt is None:
        raise ReceiptNotFound
    return await receipt_file(tools.documents, receipt)


@router.post("/orders/{order_id}/transfers/", status_code=201, response_model=TransferOut)
async def register(
    order_id: UUID,
    wanted: RegisterTransferIn,
    who: Finance,
    tools: ToolsDep,
    language: LanguageDep,
    request: Request,
    key: IdempotencyKey = None,
) -> Response:
    async with tools.store.for_system("staff") as uow:
        found = await uow.orders.find(order_id)
        order = await read_by_staff(uow, found, OrderNotFound, "order", order_id, who=who, reason=wanted.reason)
    amount = positive(order.amounts.currency, wanted.amount)
    async with tools.store.for_tenant(order.tenant_id, acting=who.user_id) as uow:

        async def act() -> tuple[int, dict[str, Any]]:
            payment = await register_transfer(uow, order_id, amount=amount, staff_id=who.user_id, reason=wanted.reason)
            return 201, TransferOut.of_tenant(payment, language, {}).model_dump(mode="json")

        route = f"POST /api/admin/orders/{order_id}/transfers/"
        status, answer = await once(uow, who.user_id, route, key, await request.body(), act)
    return JSONResponse(answer, status_code=status)


def _minor(amounts: dict[str, str]) -> dict[str, int]:
    return {currency: positive(currency, text).amount_minor for currency, text in amounts.items()}


def _hundredths(percent: str | None) -> int | None:
    if percent is None:
        return None
    whole, _, fraction = percent.partition(".")
    hundredths = int(whole) * 100 + int(fraction.ljust(2, "0") or "0")
    if not 0 < hundredths <= 10_000:
        raise CouponTermsInvalid
    return hundredths


@router.post("/coupons/", status_code=201)
async def create_coupon(wanted: CouponIn, who: Finance, tools: ToolsDep) -> CouponOut:
    if (wanted.percent is None) == (not wanted.amounts):
        raise CouponTermsInvalid
    if wanted.valid_from and wanted.valid_until and wanted.valid_from >= wanted.valid_until:
        raise CouponNeverHolds
    coupon = Coupon(
        id=uuid7(),
        code=normalised(wanted.code),
        percent_hundredths=_hundredths(wanted.percent),
        fixed=_minor(wanted.amounts),
        minimum=_minor(wanted.minimum),
        plan_ids=tuple(wanted.plan_ids),
        valid_from=wanted.valid_from,
        valid_until=wanted.valid_until,
        max_redemptions=wanted.max_redemptions,
        max_per_customer=wanted.max_per_customer,
        redemptions=0,
    )
    async with tools.store.for_system("staff") as uow:
        for plan_id in coupon.plan_ids:
            if await uow.catalogue.known(plan_id) is None:
                raise PlanNotFound
        if not await uow.coupons.add(coupon):
            raise CouponCodeTaken
        await uow.audit("coupon.created", coupon.code, actor=who.user_id, reason=wanted.reason)
    return CouponOut(id=coupon.id, code=coupon.code)


@router.post("/coupons/{code}/switch/")
async def switch_coupon(code: str, wanted: SwitchIn, who: Finance, tools: ToolsDep) -> OfficeCouponOut:
    async with tools.store.for_system("staff") as uow:
        coupon = await uow.coupons.switch(code, is_active=wanted.is_active)
        if coupon is None:
            raise CouponNotFound
        action = "coupon.switched_on" if wanted.is_active else "coupon.switched_off"
        await uow.audit(action, coupon.code, actor=who.user_id, reason=wanted.reason)
    return OfficeCouponOut.of(coupon)
