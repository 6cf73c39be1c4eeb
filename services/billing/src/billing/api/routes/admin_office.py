"""``/api/admin/…``: what finance reads of every organization, and closes. Every read and act is audited."""

import asyncio
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Annotated
from uuid import UUID

from common.crash_points import reach
from common.web import LanguageDep, Page, PagingDep, ReadReason
from common.web.pages import InvalidCursor, Paging
from fastapi import APIRouter, Query, Response

from billing.api.dependencies import Finance, ToolsDep
from billing.api.looking_up import read_by_staff
from billing.api.papers import paper
from billing.api.schemas.office import (
    CaseOut,
    DisputeOut,
    MovementOut,
    OfficeCouponOut,
    OfficeOrderOut,
    RevenueOut,
    RunOut,
)
from billing.api.schemas.payments import InvoiceOut
from billing.api.schemas.refunds import DecideRefundIn as ReasonIn
from billing.domain.dispute import DisputeStatus
from billing.domain.money import Money
from billing.domain.order import OrderStatus
from billing.errors import CaseNotFound, DisputeNotFound, InvoiceNotFound, MovementNotFound, WindowInvalid
from billing.usecases.lift_dispute import lift_dispute

router = APIRouter(prefix="/api/admin", tags=["back office"])
OrganizationId = Annotated[UUID | None, Query()]

LONGEST_WINDOW = timedelta(days=366)
RUNS = 62
"""Comparisons that are shown: a month of two providers."""


@router.get("/orders/")
async def list_orders(
    who: Finance,
    reason: ReadReason,
    tools: ToolsDep,
    paging: PagingDep,
    status: Annotated[OrderStatus | None, Query()] = None,
    order_id: Annotated[UUID | None, Query()] = None,
    order_number: Annotated[str | None, Query(max_length=40)] = None,
    organization_id: OrganizationId = None,
) -> Page[OfficeOrderOut]:
    async with tools.store.for_system("staff") as uow:
        orders = await uow.orders.page(
            paging.after,
            paging.rows,
            status=status,
            order_id=order_id,
            number=order_number,
            tenant_id=organization_id,
        )
        await uow.audit(
            "orders.listed_by_staff", f"status={status}", actor=who.user_id, reason=reason, tenant_id=organization_id
        )
    return paging.page(orders, OfficeOrderOut.of_tenant, lambda order: (order.id,))


@router.get("/invoices/")
async def list_all_invoices(
    who: Finance,
    reason: ReadReason,
    tools: ToolsDep,
    language: LanguageDep,
    paging: PagingDep,
    invoice_number: Annotated[str | None, Query(max_length=40)] = None,
    organization_id: OrganizationId = None,
) -> Page[InvoiceOut]:
    async with tools.store.for_system("staff") as uow:
        invoices = await uow.invoices.page(paging.after, paging.rows, number=invoice_number, tenant_id=organization_id)
        await uow.audit(
            "invoices.listed_by_staff",
            f"number={invoice_number}",
            actor=who.user_id,
            reason=reason,
            tenant_id=organization_id,
        )
    return paging.page(invoices, lambda invoice: InvoiceOut.of(invoice, language), lambda invoice: (invoice.id,))


@router.get(
    "/invoices/{invoice_id}/download/",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}}, "description": "The invoice as PDF"}},
)
async def download_invoice(invoice_id: UUID, who: Finance, reason: ReadReason, tools: ToolsDep) -> Response:
    async with tools.store.for_system("staff") as uow:
        found = await uow.invoices.find(invoice_id)
        invoice = await read_by_staff(uow, found, InvoiceNotFound, "invoice", invoice_id, who=who, reason=reason)
    draw = partial(asyncio.to_thread, tools.draw_invoice, invoice)
    return paper(await tools.keeping.pdf(invoice, draw), invoice.number)


@router.get("/coupons/")
async def list_coupons(
    who: Finance,
    reason: ReadReason,
    tools: ToolsDep,
    paging: PagingDep,
    code: Annotated[str | None, Query(max_length=60)] = None,
) -> Page[OfficeCouponOut]:
    async with tools.store.for_system("staff") as uow:
        coupons = await uow.coupons.page(paging.after, paging.rows, code=code)
        await uow.audit("coupons.listed_by_staff", f"code={code}", actor=who.user_id, reason=reason)
    return paging.page(coupons, OfficeCouponOut.of, lambda coupon: (coupon.id,))


@router.get("/cases/")
async def list_cases(
    who: Finance,
    reason: ReadReason,
    tools: ToolsDep,
    paging: PagingDep,
    is_open: Annotated[bool | None, Query()] = None,
    kind: Annotated[str | None, Query(max_length=30)] = None,
    payment_id: Annotated[UUID | None, Query()] = None,
    organization_id: OrganizationId = None,
) -> Page[CaseOut]:
    async with tools.store.for_system("staff") as uow:
        cases = await uow.cases.page(
            paging.after, paging.rows, is_open=is_open, kind=kind, payment_id=payment_id, tenant_id=organization_id
        )
        await uow.audit(
            "cases.listed_by_staff", f"kind={kind}", actor=who.user_id, reason=reason, tenant_id=organization_id
        )
    return paging.page(cases, CaseOut.of, lambda case: (case.id,))


@router.post("/cases/{case_id}/close/")
async def close_case(case_id: UUID, said: ReasonIn, who: Finance, tools: ToolsDep) -> CaseOut:
    async with tools.store.for_system("staff") as uow:
        case = await uow.cases.find(case_id)
        found = await read_by_staff(uow, case, CaseNotFound, "case", case_id, who=who, reason=said.reason)
    async with tools.store.for_tenant(found.tenant_id) as uow:
        if not await uow.cases.close(case_id, by=who.user_id, note=said.reason):
            raise CaseNotFound
        await uow.audit("case.closed", str(case_id), actor=who.user_id, reason=said.reason)
        closed = await uow.cases.find(case_id)
    assert closed is not None
    return CaseOut.of(closed)


@router.get("/disputes/")
async def list_disputes(
    who: Finance,
    reason: ReadReason,
    tools: ToolsDep,
    paging: PagingDep,
    status: Annotated[DisputeStatus | None, Query()] = None,
    payment_id: Annotated[UUID | None, Query()] = None,
    organization_id: OrganizationId = None,
) -> Page[DisputeOut]:
    async with tools.store.for_system("staff") as uow:
        disputes = await uow.disputes.page(
            paging.after, paging.rows, status=status, payment_id=payment_id, tenant_id=organization_id
        )
        await uow.audit(
            "disputes.listed_by_staff", f"status={status}", actor=who.user_id, reason=reason, tenant_id=organization_id
        )
    return paging.page(disputes, DisputeOut.of, lambda dispute: (dispute.id,))


@router.post("/disputes/{dispute_id}/lift/")
async def lift(dispute_id: UUID, said: ReasonIn, who: Finance, tools: ToolsDep) -> DisputeOut:
    async with tools.store.for_system("staff") as uow:
        dispute = await uow.disputes.get(dispute_id)
        found = await read_by_staff(uow, dispute, DisputeNotFound, "dispute", dispute_id, who=who, reason=said.reason)
    async with tools.store.for_tenant(found.tenant_id) as uow:
        lifted = await lift_dispute(uow, dispute_id, staff_id=who.user_id, reason=said.reason, issuer=tools.issuer)
        reach("billing.lift.applied")
    reach("billing.lift.committed")
    return DisputeOut.of(lifted)


@router.get("/reconciliations/")
async def list_reconciliations(who: Finance, reason: ReadReason, tools: ToolsDep) -> Page[RunOut]:
    async with tools.store.for_system("staff") as uow:
        runs = await uow.reconciliations.runs(RUNS)
        await uow.audit("reconciliations.listed_by_staff", "", actor=who.user_id, reason=reason)
    return Page(results=[RunOut.of(run) for run in runs])


@router.get("/unmatched-movements/")
async def list_unmatched(who: Finance, reason: ReadReason, tools: ToolsDep, paging: PagingDep) -> Page[MovementOut]:
    async with tools.store.for_system("staff") as uow:
        rows = await uow.reconciliations.unmatched(_movement_after(paging), paging.rows)
        await uow.audit("unmatched_movements.listed_by_staff", "", actor=who.user_id, reason=reason)
    return paging.page(
        rows,
        lambda row: MovementOut(
            provider=row.provider,
            reference=row.reference,
            amount=None if row.amount_minor is None else Money(row.amount_minor, row.currency).decimal(),
            currency=row.currency,
            occurred_at=row.occurred_at,
            found_on=row.found_on,
        ),
        lambda row: (row.occurred_at.isoformat(), row.provider, row.reference),
    )


def _movement_after(paging: Paging) -> tuple[datetime, str, str] | None:
    if paging.start is None:
        return None
    try:
        occurred_at, provider, reference = paging.start.position
        return datetime.fromisoformat(occurred_at), str(provider), str(reference)
    except (TypeError, ValueError):
        raise InvalidCursor from None


@router.post("/unmatched-movements/{provider}/{reference}/close/", status_code=204)
async def close_unmatched(provider: str, reference: str, said: ReasonIn, who: Finance, tools: ToolsDep) -> None:
    async with tools.store.for_system("staff") as uow:
        if not await uow.reconciliations.close_unmatched(provider, reference, by=who.user_id, note=said.reason):
            raise MovementNotFound
        await uow.audit("movement.closed", f"{provider}/{reference}", actor=who.user_id, reason=said.reason)


@router.get("/revenue/")
async def revenue(
    who: Finance,
    reason: ReadReason,
    tools: ToolsDep,
    since: Annotated[date | None, Query(description="First day, UTC; by default of this month")] = None,
    until: Annotated[date | None, Query(description="Day after the last; by default tomorrow")] = None,
) -> RevenueOut:
    today = tools.store.clock.now().date()
    first, after = since or today.replace(day=1), until or today + timedelta(days=1)
    if not timedelta(0) < after - first <= LONGEST_WINDOW:
        raise WindowInvalid
    window = datetime.combine(first, time.min, UTC), datetime.combine(after, time.min, UTC)
    async with tools.store.for_system("staff") as uow:
        found = await uow.revenue.of(*window, tools.settings.terms.grace)
        await uow.audit("revenue.read_by_staff", f"{first}/{after}", actor=who.user_id, reason=reason)
    return RevenueOut.of(found)
