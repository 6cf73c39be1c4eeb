"""Credit notes: what of an invoice does not hold any more, with its ledger entry; all in the caller's transaction."""

from uuid import UUID

from common.ids import uuid7

from billing.domain.credit_note import SERIES, CreditNote, credited_taxes
from billing.domain.invoice import Invoice, Issuer, number_of
from billing.domain.ledger import credit_noted, kept_unused, kept_unused_rest
from billing.domain.money import Money
from billing.domain.order import Order
from billing.persistence.unit_of_work import UnitOfWork

INVOICES = 50
"""How many invoices back unused time is looked for: it was paid by the last ones."""

_REASONS = {
    "fr": "Temps non utilisé, porté à votre avoir ({number})",
    "en": "Unused time, kept as your credit ({number})",
}


async def add_credit_note(
    uow: UnitOfWork, invoice: Invoice, total: Money, issuer: Issuer, *, reason: str, refund_id: UUID | None
) -> CreditNote:
    """Take a part of an invoice back, with the part of its taxes, under the next number of credit notes.

    Args:
        uow: Open for the invoice's tenant.
        invoice: What is corrected.
        total: What the customer gets back of it, tax included.
        issuer: Who issues it.
        reason: Printed on it.
        refund_id: The refund that it is for; ``None`` where the money stays as credit.
    """
    now = uow.clock.now()
    series = f"{issuer.code}-{SERIES}"
    sequence = await uow.invoices.next_sequence(series, now.year)
    before = Money(await uow.credit_notes.credited(invoice.id), total.currency)
    taxes = credited_taxes(invoice, before, total)
    net = total
    for line in taxes:
        net -= line.amount
    note = CreditNote(
        tenant_id=invoice.tenant_id,
        id=uuid7(),
        invoice_id=invoice.id,
        invoice_number=invoice.number,
        refund_id=refund_id,
        issuer=issuer.document(),
        series=series,
        year=now.year,
        sequence=sequence,
        number=number_of(series, now.year, sequence),
        issued_at=now,
        customer=invoice.customer,
        language=invoice.language,
        net=net,
        taxes=taxes,
        total=total,
        reason=reason,
    )
    await uow.credit_notes.add(note)
    await uow.ledger.book(note.tenant_id, credit_noted(note.id, note.net, note.tax))
    return note


async def keep_unused(uow: UnitOfWork, order: Order, issuer: Issuer) -> None:
    """Keep as the customer's credit what a change's unused time is worth beyond what the change costs.

    It was paid by former invoices, the newest first: each gets a credit note for its part, with its tax.

    Args:
        uow: Open for the order's tenant.
        order: Locked, and settled by this transaction.
        issuer: Who issues the notes.
    """
    rest = order.unspent
    if not rest:
        return
    reason = _REASONS["en" if order.language == "en" else "fr"].format(number=order.number)
    for invoice in await uow.invoices.page(None, INVOICES, tenant_id=order.tenant_id):
        amounts = invoice.amounts
        if amounts.currency != rest.currency:
            continue  # of a time before it began again in this currency
        left = amounts.total - Money(await uow.credit_notes.credited(invoice.id), amounts.currency)
        if invoice.order_id == order.id or not rest or left <= Money.zero(left.currency):
            continue
        left_net = left.share(amounts.net.amount_minor, amounts.total.amount_minor)
        net = min(rest, left_net)
        total = left if net == left_net else net.share(amounts.total.amount_minor, amounts.net.amount_minor)
        note = await add_credit_note(uow, invoice, total, issuer, reason=reason, refund_id=None)
        await uow.ledger.book(order.tenant_id, kept_unused(note.id, total))
        rest -= net
    if rest:
        # What rounding leaves of it, or what no invoice of ours explains: his all the same.
        await uow.ledger.book(order.tenant_id, kept_unused_rest(order.id, rest))
