"""``/payments/``: read them, send a receipt, and, for staff, check a transfer."""

from typing import Annotated
from uuid import UUID

from common.auth import Principal, requires_person
from common.web import LanguageDep, Page, PagingDep
from fastapi import APIRouter, File, Response, UploadFile

from billing.api.amounts import amount_in
from billing.api.dependencies import Finance, Tools, ToolsDep, may_act_on, visible_order, visible_payment
from billing.api.looking_up import read_by_staff
from billing.api.receipts import receipt_file
from billing.api.schemas.payments import CheckTransferIn, PaymentOut, ReceiptOut
from billing.domain.payment import Payment, SeenAtBank
from billing.errors import MovementUnnamed, PaymentNotFound
from billing.usecases.check_transfer import approve_transfer, reject_transfer
from billing.workflows.receiving import receive_receipt

router = APIRouter(prefix="/api/tenants/payments", tags=["payments"])
Person = Annotated[Principal, requires_person()]


@router.get("/")
async def list_payments(who: Person, tools: ToolsDep, language: LanguageDep, paging: PagingDep) -> Page[PaymentOut]:
    door = tools.store.for_tenant(who.active_tenant_id) if who.active_tenant_id else tools.store.for_user(who.user_id)
    async with door as uow:
        payments = await uow.payments.page(paging.after, paging.rows)
    return paging.page(payments, lambda payment: PaymentOut.of(payment, language), lambda payment: (payment.id,))


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
        raise PaymentNotFound
    return await receipt_file(tools.documents, receipt)


def _seen(tools: Tools, payment: Payment, checked: CheckTransferIn) -> SeenAtBank:
    seen = SeenAtBank(amount_in(payment.charged.currency, checked.amount), checked.bank_reference, checked.value_date)
    if tools.settings.names_movements and not seen.is_named:
        raise MovementUnnamed
    return seen


@router.post("/{payment_id}/verify_bank_transfer/")
async def verify_bank_transfer(
    payment_id: UUID, checked: CheckTransferIn, who: Finance, tools: ToolsDep, language: LanguageDep
) -> PaymentOut:
    async with tools.store.for_system("staff") as uow:
        named, reason = await uow.payments.find(payment_id), checked.note or "check of a transfer"
        found = await read_by_staff(uow, named, PaymentNotFound, "payment", payment_id, who=who, reason=reason)
    async with tools.store.for_tenant(found.tenant_id) as uow:
        if checked.approve:
            payment = await approve_transfer(
                uow,
                payment_id,
                staff_id=who.user_id,
                seen=_seen(tools, found, checked),
                note=checked.note,
                issuer=tools.issuer,
            )
        else:
            payment = await reject_transfer(
                uow, payment_id, staff_id=who.user_id, note=checked.note, issuer=tools.issuer
            )
    return PaymentOut.of(payment, language)
