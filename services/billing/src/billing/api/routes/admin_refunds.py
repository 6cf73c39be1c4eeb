"""``/api/admin/refunds/``: finance asks for refunds, another person lets them go; every act and read is audited."""

from typing import Annotated
from uuid import UUID

from common.auth import Principal
from common.crash_points import reach
from common.idempotency import once
from common.web import IdempotencyKey, Page, PagingDep, ReadReason
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from billing.api.amounts import amount_in
from billing.api.dependencies import Finance, ToolsDep
from billing.api.looking_up import read_by_staff
from billing.api.schemas.refunds import CreditNoteOut, DecideRefundIn, RecordRefundIn, RefundIn, RefundOut
from billing.domain.payment import Payment
from billing.domain.refund import Refund, RefundStatus
from billing.errors import PaymentNotFound, RefundNotFound
from billing.usecases.decide_refund import decide_refund, record_refund
from billing.usecases.request_refund import request_refund

router = APIRouter(prefix="/api/admin", tags=["back office"])


async def _payment(tools: ToolsDep, payment_id: UUID, who: Principal, reason: str) -> Payment:
    async with tools.store.for_system("staff") as uow:
        found = await uow.payments.find(payment_id)
        return await read_by_staff(uow, found, PaymentNotFound, "payment", payment_id, who=who, reason=reason)


async def _refund(tools: ToolsDep, refund_id: UUID, who: Principal, reason: str) -> Refund:
    async with tools.store.for_system("staff") as uow:
        found = await uow.refunds.find(refund_id)
        return await read_by_staff(uow, found, RefundNotFound, "refund", refund_id, who=who, reason=reason)


@router.get("/refunds/")
async def list_refunds(
    who: Finance,
    reason: ReadReason,
    tools: ToolsDep,
    paging: PagingDep,
    status: Annotated[RefundStatus | None, Query()] = None,
    payment_id: Annotated[UUID | None, Query()] = None,
    organization_id: Annotated[UUID | None, Query()] = None,
) -> Page[RefundOut]:
    async with tools.store.for_system("staff") as uow:
        refunds = await uow.refunds.page(
            paging.after, paging.rows, status=status, payment_id=payment_id, tenant_id=organization_id
        )
        await uow.audit(
            "refunds.listed_by_staff", f"status={status}", actor=who.user_id, reason=reason, tenant_id=organization_id
        )
    return paging.page(refunds, RefundOut.of, lambda refund: (refund.id,))


@router.get("/refunds/{refund_id}/")
async def get_refund(refund_id: UUID, who: Finance, reason: ReadReason, tools: ToolsDep) -> RefundOut:
    return RefundOut.of(await _refund(tools, refund_id, who, reason))


@router.post("/payments/{payment_id}/refunds/", status_code=201, response_model=RefundOut)
async def ask_for_refund(
    payment_id: UUID, wanted: RefundIn, who: Finance, tools: ToolsDep, request: Request, key: IdempotencyKey = None
) -> Response:
    payment = await _payment(tools, payment_id, who, wanted.reason)
    settled = payment.settled or payment.charged
    async with tools.store.for_tenant(payment.tenant_id, acting=who.user_id) as uow:

        async def act() -> tuple[int, dict[str, object]]:
            refund = await request_refund(
                uow,
                payment_id,
                amount=amount_in(settled.currency, wanted.amount),
                staff_id=who.user_id,
                reason=wanted.reason,
                can_send=tools.refunding.can_send(payment.method),
                by_hand=wanted.by_hand,
            )
            return 201, RefundOut.of(refund).model_dump(mode="json")

        route = f"POST /api/admin/payments/{payment_id}/refunds/"
        status, answer = await once(uow, who.user_id, route, key, await request.body(), act)
    return JSONResponse(answer, status_code=status)


@router.post("/refunds/{refund_id}/approve/")
async def approve(refund_id: UUID, decided: DecideRefundIn, who: Finance, tools: ToolsDep) -> RefundOut:
    found = await _refund(tools, refund_id, who, decided.reason)
    async with tools.store.for_tenant(found.tenant_id) as uow:
        await decide_refund(uow, refund_id, approve=True, staff_id=who.user_id, reason=decided.reason)
    reach("billing.refund.approved")
    # Committed: should this process die here, the janitor sends it.
    await tools.refunding.follow(refund_id, found.method)
    async with tools.store.for_tenant(found.tenant_id) as uow:
        sent = await uow.refunds.find(refund_id)
    assert sent is not None
    return RefundOut.of(sent)


@router.post("/refunds/{refund_id}/reject/")
async def reject(refund_id: UUID, decided: DecideRefundIn, who: Finance, tools: ToolsDep) -> RefundOut:
    found = await _refund(tools, refund_id, who, decided.reason)
    async with tools.store.for_tenant(found.tenant_id) as uow:
        refund = await decide_refund(uow, refund_id, approve=False, staff_id=who.user_id, reason=decided.reason)
    return RefundOut.of(refund)


@router.post("/refunds/{refund_id}/record/")
async def record(refund_id: UUID, sent: RecordRefundIn, who: Finance, tools: ToolsDep) -> RefundOut:
    found = await _refund(tools, refund_id, who, sent.reason)
    async with tools.store.for_tenant(found.tenant_id) as uow:
        refund = await record_refund(
            uow, refund_id, reference=sent.reference, staff_id=who.user_id, reason=sent.reason, issuer=tools.issuer
        )
    return RefundOut.of(refund)


@router.get("/credit-notes/")
async def list_credit_notes(
    who: Finance,
    reason: ReadReason,
    tools: ToolsDep,
    paging: PagingDep,
    invoice_id: Annotated[UUID | None, Query()] = None,
    organization_id: Annotated[UUID | None, Query()] = None,
) -> Page[CreditNoteOut]:
    async with tools.store.for_system("staff") as uow:
        notes = await uow.credit_notes.page(paging.after, paging.rows, invoice_id=invoice_id, tenant_id=organization_id)
        await uow.audit(
            "credit_notes.listed_by_staff",
            f"invoice={invoice_id}",
            actor=who.user_id,
            reason=reason,
            tenant_id=organization_id,
        )
    return paging.page(notes, CreditNoteOut.of, lambda note: (note.id,))
