"""Billing's mails. The texts are in ``templates/mails``; each has a key, so that a replay sends none twice."""

from common.mail import MailTemplates
from common.persistence import MailMessage

from billing.domain.invoice import Invoice
from billing.domain.order import Order
from billing.domain.payment import Payment

_templates = MailTemplates("billing")


def confirmation(order: Order, invoice: Invoice) -> MailMessage:
    """Tell the customer that the order is paid and which invoice it has."""
    return _templates.render(
        "payment_confirmed",
        to=order.customer.email,
        key=f"payment_confirmed:{order.id}",
        language=order.language,
        customer=order.customer.name,
        plan=order.plan.display_name,
        order_number=order.number,
        invoice_number=invoice.number,
        total=order.amounts.total.decimal(),
        currency=order.amounts.currency,
        ends_on=invoice.period.ends_at.date().isoformat(),
    )


def how_to_pay(order: Order, payment: Payment, bank: dict[str, str]) -> MailMessage:
    """Tell the customer where to transfer the money, and what to quote."""
    return _templates.render(
        "how_to_pay",
        to=order.customer.email,
        key=f"how_to_pay:{payment.id}",
        language=order.language,
        customer=order.customer.name,
        order_number=order.number,
        reference=payment.reference,
        amount=payment.charged.decimal(),
        currency=payment.charged.currency,
        bank=bank,
    )


def transfer_rejected(order: Order, payment: Payment, note: str) -> MailMessage:
    """Tell the customer that the transfer was not found, and why."""
    return _templates.render(
        "transfer_rejected",
        to=order.customer.email,
        key=f"transfer_rejected:{payment.id}",
        language=order.language,
        customer=order.customer.name,
        order_number=order.number,
        reference=payment.reference,
        note=note,
    )
