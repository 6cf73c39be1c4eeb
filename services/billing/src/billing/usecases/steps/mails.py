"""Billing's mails, each with a key, so that a replay sends none twice.

A mail is prose and facts: the prose is in ``templates/mails/<name>.<language>.{txt,html}``, the facts are one list that
the layouts print in both halves, so that a text reader is told the same as an HTML reader.
"""

from collections.abc import Iterable
from typing import Any

from common.mail import MailTemplates
from common.persistence import MailMessage

from billing.domain.credit_note import CreditNote
from billing.domain.dispute import Dispute
from billing.domain.invoice import Invoice, Issuer
from billing.domain.money import Money
from billing.domain.order import Customer, Order
from billing.domain.payment import Payment
from billing.domain.period import Period
from billing.domain.plan import BillingCycle
from billing.domain.reason import explain
from billing.domain.refund import Refund
from billing.domain.wording import amount_text, day_text, spoken

MAILS = (
    "order_received",
    "how_to_pay",
    "payment_confirmed",
    "part_received",
    "credit_kept",
    "order_outdated",
    "payment_failed",
    "transfer_rejected",
    "transfer_overdue",
    "invoice",
    "renewal_due",
    "subscription_past_due",
    "deletion_warning",
    "refund_sent",
    "payment_taken_back",
    "plan_too_small",
    "subscription_cancelled",
    "payment_disputed",
    "dispute_won",
    "dispute_lost",
    "paid_while_disputed",
    "auto_renewal_ended",
    "dispute_lifted",
)
"""Every mail that billing sends; each has its texts in both languages and forms (``tests/unit/test_mails.py``)."""

LABELS = {
    "account": ("Compte", "Account"),
    "amount": ("Montant", "Amount"),
    "bank": ("Banque", "Bank"),
    "dispute": ("Litige", "Dispute"),
    "credit_left": ("Reste à votre avoir, hors taxe", "Left as your credit, before tax"),
    "credit_note": ("Avoir", "Credit note"),
    "cycle": ("Facturation", "Billing"),
    "deleted": ("Suppression le", "Deletion on"),
    "max_backups_per_month": ("Sauvegardes par mois", "Backups a month"),
    "max_esxi_servers": ("Serveurs ESXi", "ESXi servers"),
    "max_storage_gb": ("Stockage (Go)", "Storage (GB)"),
    "max_users": ("Utilisateurs", "Users"),
    "max_vms": ("Machines virtuelles", "Virtual machines"),
    "holder": ("Titulaire", "Holder"),
    "iban": ("IBAN", "IBAN"),
    "kept": ("Votre crédit", "Your credit"),
    "left_to_pay": ("Reste à payer", "Left to pay"),
    "invoice": ("Facture", "Invoice"),
    "monthly": ("mensuelle", "monthly"),
    "order": ("Commande", "Order"),
    "plan": ("Formule", "Plan"),
    "reason": ("Motif", "Reason"),
    "received": ("Montant reçu", "Amount received"),
    "reference": ("Référence à rappeler", "Reference to quote"),
    "suspended": ("Suspension le", "Suspension on"),
    "swift": ("SWIFT", "SWIFT"),
    "until": ("Abonnement jusqu'au", "Subscription until"),
    "yearly": ("annuelle", "yearly"),
}
"""What stands before each fact: French, English."""

GREETINGS = {"fr": "Bonjour", "en": "Hello"}
COLONS = {"fr": "\u00a0:", "en": ":"}

_templates = MailTemplates("billing")


def particulars(issuer: dict[str, str], language: str) -> list[str]:
    """Return who writes: name, address, registers, as far as they are set."""
    numbers = (f"RCCM {issuer['rccm']}" if issuer["rccm"] else "", f"NIU {issuer['niu']}" if issuer["niu"] else "")
    registered = " · ".join(filter(None, numbers))
    questions = f"Questions{COLONS[spoken(language)]} {issuer['email']}" if issuer["email"] else ""
    return [line for line in (issuer["name"], issuer["address"], registered, questions) if line]


def write(
    name: str,
    about: object,
    *,
    customer: Customer,
    language: str,
    issuer: dict[str, str],
    facts: Iterable[tuple[str, str | None]],
    attachment: str | None = None,
    **fields: object,
) -> MailMessage:
    """Return one of `MAILS`.

    Args:
        name: Which.
        about: Id of the one thing that it is sent once for.
        customer: Who gets it.
        language: His language.
        issuer: Who writes, as ``Issuer.document`` returns it.
        facts: Keys of `LABELS` and values; those without a value are left out.
        attachment: ``invoice:<id>`` for the invoice as PDF.
        fields: What the prose names besides.
    """
    lang = spoken(language)
    column = 0 if lang == "fr" else 1
    return _templates.render(
        name,
        to=customer.email,
        key=f"{name}:{about}",
        language=language,
        attachment=attachment,
        lang=lang,
        greeting=GREETINGS[lang],
        colon=COLONS[lang],
        customer=customer.name,
        facts=[(LABELS[key][column], value) for key, value in facts if value],
        particulars=particulars(issuer, language),
        **fields,
    )


def _about_order(
    name: str, about: object, order: Order, issuer: Issuer, facts: Iterable[tuple[str, str | None]], **more: Any
) -> MailMessage:
    """Write to the customer of an order, which the prose names."""
    return write(
        name,
        about,
        customer=order.customer,
        language=order.language,
        issuer=issuer.document(),
        facts=facts,
        order_number=order.number,
        **more,
    )


def _cycle(cycle: BillingCycle, language: str) -> str:
    return LABELS[cycle.value][0 if spoken(language) == "fr" else 1]


def order_received(order: Order, issuer: Issuer) -> MailMessage:
    """Tell the customer that we have his order, what it costs, and that it waits for his payment."""
    return _about_order(
        "order_received",
        order.id,
        order,
        issuer,
        [
            ("order", order.number),
            ("plan", order.plan.display_name),
            ("cycle", _cycle(order.cycle, order.language)),
            ("amount", amount_text(order.amounts.total, order.language)),
        ],
    )


def how_to_pay(order: Order, payment: Payment, bank: dict[str, str], issuer: Issuer) -> MailMessage:
    """Tell the customer where to transfer the money, and what to quote."""
    branch = f" ({bank['branch']})" if bank["branch"] else ""
    return _about_order(
        "how_to_pay",
        payment.id,
        order,
        issuer,
        [
            ("amount", amount_text(payment.charged, order.language)),
            ("reference", payment.reference),
            ("bank", bank["bank_name"] + branch),
            ("holder", bank["account_name"]),
            ("account", bank["account_number"]),
            ("iban", bank["iban"]),
            ("swift", bank["swift_code"]),
        ],
    )


def confirmation(order: Order, invoice: Invoice) -> MailMessage:
    """Tell the customer that the order is paid and which invoice it has."""
    return write(
        "payment_confirmed",
        order.id,
        customer=order.customer,
        language=order.language,
        issuer=invoice.issuer,
        facts=[
            ("order", order.number),
            ("plan", order.plan.display_name),
            ("amount", amount_text(order.amounts.total, order.language)),
            ("invoice", invoice.number),
            ("until", day_text(invoice.period.ends_at, order.language)),
            ("credit_left", amount_text(order.unspent, order.language) if order.unspent else None),
        ],
        order_number=order.number,
    )


def part_received(order: Order, payment: Payment, received: Money, issuer: Issuer) -> MailMessage:
    """Tell the customer that a part of his money is here, and how much of the order is left to pay."""
    return _about_order(
        "part_received",
        payment.id,
        order,
        issuer,
        [
            ("order", order.number),
            ("received", amount_text(received, order.language)),
            ("left_to_pay", amount_text(order.outstanding, order.language)),
        ],
    )


def credit_kept(order: Order, payment: Payment, surplus: Money, issuer: Issuer) -> MailMessage:
    """Tell the customer what he paid beyond what the order needed, and that it is his."""
    return _about_order(
        "credit_kept",
        payment.id,
        order,
        issuer,
        [("order", order.number), ("kept", amount_text(surplus, order.language))],
    )


def order_outdated(order: Order, payment: Payment, issuer: Issuer) -> MailMessage:
    """Tell the customer that his money is here and why the order that it was for buys nothing any more."""
    return _about_order(
        "order_outdated",
        payment.id,
        order,
        issuer,
        [("order", order.number), ("received", amount_text(payment.settled or payment.charged, order.language))],
    )


def payment_failed(order: Order, payment: Payment, issuer: Issuer) -> MailMessage:
    """Tell the customer that nothing was taken, why, and that the order still waits."""
    return _about_order(
        "payment_failed",
        payment.id,
        order,
        issuer,
        [
            ("order", order.number),
            ("amount", amount_text(payment.charged, order.language)),
            ("reason", explain(payment.reason_code or "unknown", spoken(order.language))),
        ],
    )


def transfer_rejected(order: Order, payment: Payment, note: str, issuer: Issuer) -> MailMessage:
    """Tell the customer that the transfer was not found, and why."""
    return _about_order(
        "transfer_rejected",
        payment.id,
        order,
        issuer,
        [
            ("order", order.number),
            ("amount", amount_text(payment.charged, order.language)),
            ("reference", payment.reference),
            ("reason", note),
        ],
    )


def transfer_overdue(order: Order, payment: Payment, issuer: Issuer) -> MailMessage:
    """Tell the customer that his transfer was not found in a long time, and that its money still pays his order."""
    return _about_order(
        "transfer_overdue",
        payment.id,
        order,
        issuer,
        [
            ("order", order.number),
            ("amount", amount_text(payment.charged, order.language)),
            ("reference", payment.reference),
        ],
    )


def invoice_issued(invoice: Invoice) -> MailMessage:
    """Send the customer his invoice as PDF."""
    return write(
        "invoice",
        invoice.id,
        customer=invoice.customer,
        language=invoice.language,
        issuer=invoice.issuer,
        facts=[
            ("invoice", invoice.number),
            ("order", invoice.order_number),
            ("amount", amount_text(invoice.amounts.total, invoice.language)),
        ],
        attachment=f"invoice:{invoice.id}",
        invoice_number=invoice.number,
    )


def refund_sent(
    order: Order, refund: Refund, note: CreditNote | None, issuer: Issuer, *, taken: bool = False
) -> MailMessage:
    """Tell the customer that money is on its way back, or was taken from us, and which credit note he has."""
    return _about_order(
        "payment_taken_back" if taken else "refund_sent",
        refund.id,
        order,
        issuer,
        [
            ("order", order.number),
            ("amount", amount_text(refund.amount, order.language)),
            ("credit_note", note.number if note else None),
        ],
        attachment=f"credit_note:{note.id}" if note else None,
    )


def _about_dispute(name: str, order: Order, payment: Payment, dispute: Dispute, issuer: Issuer) -> MailMessage:
    return _about_order(
        name,
        dispute.id,
        order,
        issuer,
        [
            ("order", order.number),
            ("amount", amount_text(dispute.amount or payment.charged, order.language)),
            ("dispute", dispute.reference),
        ],
    )


def payment_disputed(order: Order, payment: Payment, dispute: Dispute, issuer: Issuer) -> MailMessage:
    """Tell the customer that his payment is disputed or was taken back, what that stops, and what ends it."""
    return _about_dispute("payment_disputed", order, payment, dispute, issuer)


def dispute_won(order: Order, payment: Payment, dispute: Dispute, issuer: Issuer) -> MailMessage:
    """Tell the customer that the dispute is over and everything works again."""
    return _about_dispute("dispute_won", order, payment, dispute, issuer)


def dispute_lost(order: Order, payment: Payment, dispute: Dispute, issuer: Issuer) -> MailMessage:
    """Tell the customer that the dispute ended against us, what stays suspended, and what lifts that."""
    return _about_dispute("dispute_lost", order, payment, dispute, issuer)


def dispute_lifted(order: Order, payment: Payment, dispute: Dispute, issuer: Issuer) -> MailMessage:
    """Tell the customer that a dispute that we lost holds nothing up any more, and what he has then."""
    return _about_dispute("dispute_lifted", order, payment, dispute, issuer)


def paid_while_disputed(order: Order, period: Period, dispute: Dispute, issuer: Issuer) -> MailMessage:
    """Tell the customer that his money is here and why his subscription stays suspended all the same."""
    return _about_order(
        "paid_while_disputed",
        order.id,
        order,
        issuer,
        [
            ("order", order.number),
            ("amount", amount_text(order.amounts.total, order.language)),
            ("until", day_text(period.ends_at, order.language)),
            ("dispute", dispute.reference),
        ],
    )


def auto_renewal_ended(order: Order, period: Period, issuer: Issuer) -> MailMessage:
    """Tell the customer that Mobile Money is asked for no renewal any more: he pays in another currency now."""
    return _about_order(
        "auto_renewal_ended",
        order.id,
        order,
        issuer,
        [
            ("order", order.number),
            ("amount", amount_text(order.amounts.total, order.language)),
            ("until", day_text(period.ends_at, order.language)),
        ],
    )
