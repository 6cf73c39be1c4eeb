"""``/payments/``: read them, send a receipt, and, for staff, check a transfer."""

from datetime import date
from typing import Annotated
from uuid import UUID

from common.auth import Principal, requires_person
from common.web import LanguageDep, Page, PagingDep
from fastapi import APIRouter, File, Query, Response, UploadFile

from billing.api.amounts import amount_in
from billing.api.dependencies import Finance, Tools, ToolsDep, may_act_on, visible_order, visible_payment
from billing.api.looking_up import read_by_staff
from billing.api.receipts import receipt_file
from billing.api.schemas.payments import CheckTransferIn, PaymentOut, ReceiptOut
from billing.domain.payment import Payment, PaymentStatus, SeenAtBank
from billing.domain.plan import Method
from billing.errors import MovementTaken, MovementUnnamed, PaymentNotFound, ReceiptNotFound
from billing.persistence.unit_of_work import UnitOfWork
from billing.usecases.check_transfer import approve_transfer, reject_transfer
from billing.workflows.receiving import receive_receipt

router = APIRouter(prefix="/api/tenants/payments", tags=["payments"])
Person = Annotated[Principal, requires_person()]


async def _with_receipt(tools: Tools, payments: list[Payment]) -> set[UUID]:
    """Return which of these payments a receipt was sent for; a buyer's are asked about organization by organization."""
    transfers: dict[UUID, list[UUID]] = {}
    for payment in payments:
        if payment.method is Method.BANK_TRANSFER:
            transfers.setdefault(payment.tenant_id, []).append(payment.id)
    sent: set[UUID] = set()
    for tenant_id, of_tenant in transfers.items():
        async with tools.store.for_tenant(tenant_id) as uow:
            sent |= await uow.receipts.sent_for(of_tenant)
    return sent


@router.get("/")
async def list_payments(
    who: Person,
    tools: ToolsDep,
    language: LanguageDep,
    paging: PagingDep,
    order_id: Annotated[UUID | None, Query()] = None,
    status: Annotated[PaymentStatus | None, Query()] = None,
) -> Page[PaymentOut]:
    door = tools.store.for_tenant(who.active_tenant_id) if who.active_tenant_id else tools.store.for_user(who.user_id)
    async with door as uow:
        payments = await uow.payments.page(paging.after, paging.rows, order_id=order_id, status=status)
    sent = await _with_receipt(tools, payments)
    return paging.page(
        payments,
        lambda payment: PaymentOut.of(payment, language, has_receipt=payment.id in sent),
        lambda payment: (payment.id,),
    )


@router.get("/{payment_id}/")
async def get_payment(payment_id: UUID, who: Person, tools: ToolsDep, language: LanguageDep) -> PaymentOut:
    payment = await visible_payment(tools.store, who, payment_id)
    async with tools.store.for_tenant(payment.tenant_id) as uow:
        return PaymentOut.of(payment, language, has_receipt=await uow.receipts.any_of(payment.id))


@router.post("/{payment_id}/receipt/", status_code=201)
async def send_receipt(
    payment_id: UUID, who: Person, tools: ToolsDep, file: Annotated[UploadFile, File()]
) -> ReceiptOut:
    payment = await visible_payment(tools.store, who, payment_id)
    may_act_on(who, await visible_order(tools.store, who, payment.order_id))
    limit = tools.settings.receipt_limit_bytes
    content = await file.read(limit + 1)
    receipt = await receive_receipt(
        tools.store, tools.documents, payment, content, user_id=who.user_id, limit_bytes=limit
    )
    return ReceiptOut(
        id=receipt.id,
        payment_id=receipt.payment_id,
        content_type=receipt.content_type,
        size_bytes=receipt.size_bytes,
        sha256=receipt.sha256,
    )


@router.get("/{payment_id}/receipt/", response_class=Response)
async def get_receipt(payment_id: UUID, who: Person, tools: ToolsDep) -> Response:
    payment = await visible_payment(tools.store, who, payment_id)
    may_act_on(who, await visible_order(tools.store, who, payment.order_id))
    async with tools.store.for_tenant(payment.tenant_id) as uow:
        receipt = await uow.receipts.newest_of(payment.id)
    if receipt is None:
        raise ReceiptNotFound
    return await receipt_file(tools.documents, receipt)


def _seen(tools: Tools, payment: Payment, checked: CheckTransferIn) -> SeenAtBank:
    seen = SeenAtBank(amount_in(payment.charged.currency, checked.amount), checked.bank_reference, checked.value_date)
    if tools.settings.names_movements and not seen.is_named:
        raise MovementUnnamed
    return seen


async def _must_be_another(uow: UnitOfWork, payment: Payment, reference: str, value_on: date) -> None:
    """Refuse a movement that has paid: what a line of a statement has paid, of whatever organization, is seen here."""
    if payment.status is PaymentStatus.SUBMITTED and await uow.payments.paid_by_movement(reference, [value_on]):
        raise MovementTaken(bank_reference=reference)


@router.post("/{payment_id}/verify_bank_transfer/")
async def verify_bank_transfer(
    payment_id: UUID, checked: CheckTransferIn, who: Finance, tools: ToolsDep, language: LanguageDep
) -> PaymentOut:
    async with tools.store.for_system("staff") as uow:
        named, reason = await uow.payments.find(payment_id), checked.note or "check of a transfer"
        found = await read_by_staff(uow, named, PaymentNotFound, "payment", payment_id, who=who, reason=reason)
        seen = _seen(tools, found, checked) if checked.approve else None
        if seen is not None and seen.reference and seen.value_on:
            await _must_be_another(uow, found, seen.reference, seen.value_on)
    async with tools.store.for_tenant(found.tenant_id) as uow:
        if seen is not None:
            payment = await approve_transfer(
                uow,
                payment_id,
                staff_id=who.user_id,
                seen=seen,
                note=checked.note,
                issuer=tools.issuer,
            )
        else:
            payment = await reject_transfer(
                uow, payment_id, staff_id=who.user_id, note=checked.note, issuer=tools.issuer
            )
        has_receipt = await uow.receipts.any_of(payment_id)
    return PaymentOut.of(payment, language, has_receipt=has_receipt)
