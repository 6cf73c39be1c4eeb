"""Take in the receipt of a bank transfer: type by content, size, once; kept under its tenant's prefix."""

import hashlib
from uuid import UUID

import puremagic
from common.errors import DomainError
from common.ids import uuid7

from billing.domain.payment import Payment, PaymentStatus
from billing.domain.plan import Method
from billing.errors import (
    ReceiptAlreadyKnown,
    ReceiptNotWanted,
    ReceiptsEnough,
    ReceiptTooLarge,
    ReceiptTypeUnsupported,
)
from billing.persistence.receipts import Receipt
from billing.persistence.unit_of_work import BillingStore, UnitOfWork
from billing.ports import DocumentStore
from billing.usecases.steps.held import held_payment

KINDS = {"application/pdf": "pdf", "image/png": "png", "image/jpeg": "jpg"}
"""What a receipt may be, and the extension that we give it."""

ENDS = {"application/pdf": b"%%EOF", "image/png": b"IEND\xaeB`\x82", "image/jpeg": b"\xff\xd9"}
"""How each kind ends; trailing padding is common, so the end is looked for in the last kilobyte."""


MOST = 5
"""Files of one payment: pages of a slip, and a better photograph. More would be a store for anything."""


def content_type(content: bytes) -> str:
    """Return what the bytes are, whatever their name says.

    Raises:
        ReceiptTypeUnsupported: Neither PDF nor PNG nor JPEG, or cut off.
    """
    try:
        found = str(puremagic.from_string(content, mime=True))
    except (puremagic.PureError, ValueError):
        raise ReceiptTypeUnsupported from None
    if found not in KINDS or ENDS[found] not in content[-1024:]:
        raise ReceiptTypeUnsupported
    return found


async def receive_receipt(
    store: BillingStore, receipts: DocumentStore, payment: Payment, content: bytes, *, user_id: UUID, limit_bytes: int
) -> Receipt:
    """Keep the file, then record it while the payment is held; a file that is refused then is removed again.

    Raises:
        ReceiptNotWanted: The payment is no transfer that waits for its check.
        ReceiptTooLarge: More than ``limit_bytes``.
        ReceiptTypeUnsupported: Not PDF, PNG or JPEG by content.
        ReceiptAlreadyKnown: The organization sent this very file before.
        ReceiptsEnough: The payment has as many as it may have.
    """
    _must_wait(payment)
    if len(content) > limit_bytes:
        raise ReceiptTooLarge(limit_bytes=limit_bytes)
    kind = content_type(content)
    digest = hashlib.sha256(content).hexdigest()
    async with store.for_tenant(payment.tenant_id) as uow:
        await _must_be_new(uow, payment, digest)
    receipt_id = uuid7()
    receipt = Receipt(
        id=receipt_id,
        payment_id=payment.id,
        sha256=digest,
        content_type=kind,
        size_bytes=len(content),
        object_name=f"{payment.tenant_id}/receipts/{receipt_id}.{KINDS[kind]}",
        uploaded_by=user_id,
    )
    await receipts.put(receipt.object_name, content)
    try:
        async with store.for_tenant(payment.tenant_id) as uow:
            _order, held = await held_payment(uow, payment.id)
            _must_wait(held)
            await _must_be_new(uow, held, digest)
            if not await uow.receipts.add(held, receipt):
                raise ReceiptAlreadyKnown
    except DomainError:
        await receipts.remove(receipt.object_name)
        raise
    return receipt


def _must_wait(payment: Payment) -> None:
    if payment.method is not Method.BANK_TRANSFER or payment.status is not PaymentStatus.SUBMITTED:
        raise ReceiptNotWanted(state=payment.status.value)


async def _must_be_new(uow: UnitOfWork, payment: Payment, digest: str) -> None:
    count, repeated = await uow.receipts.known(payment.id, digest)
    if repeated:
        raise ReceiptAlreadyKnown
    if count >= MOST:
        raise ReceiptsEnough(limit=MOST)
