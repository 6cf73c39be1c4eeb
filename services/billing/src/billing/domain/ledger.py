"""The double-entry ledger: every entry is a set of signed postings that is zero in each currency.

Debits are positive. Money charged in another currency than the order's passes through the ``exchange`` account,
so that both currencies balance by themselves.
"""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from billing.domain.money import Money


class EntryKind(StrEnum):
    """What an entry records; with its source it is unique, so that a replay books nothing twice."""

    PAYMENT = "payment"
    ALLOCATION = "allocation"
    SURPLUS = "surplus"
    INVOICE = "invoice"
    CREDIT_USED = "credit_used"
    CREDIT_RETURNED = "credit_returned"
    CREDIT_NOTE = "credit_note"
    UNUSED_KEPT = "unused_kept"
    REFUND_RESERVED = "refund_reserved"
    REFUND_RELEASED = "refund_released"
    REFUND = "refund"


class Account(StrEnum):
    """Where value is. Clearing accounts carry the method's name after the colon."""

    CLEARING = "clearing"
    EXCHANGE = "exchange"
    UNALLOCATED = "unallocated"
    RECEIVABLE = "receivable"
    CUSTOMER_CREDIT = "customer_credit"
    REFUND_PAYABLE = "refund_payable"
    REVENUE = "revenue"
    TAX = "tax"


@dataclass(frozen=True, slots=True)
class Posting:
    """One side of an entry."""

    account: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Entry:
    """A balanced set of postings about one source (a payment, an invoice)."""

    kind: EntryKind
    source_id: UUID
    postings: tuple[Posting, ...]

    def __post_init__(self) -> None:
        totals: dict[str, int] = {}
        for posting in self.postings:
            totals[posting.amount.currency] = totals.get(posting.amount.currency, 0) + posting.amount.amount_minor
        assert not any(totals.values()), f"unbalanced entry {self.kind} {self.source_id}"


def received(payment_id: UUID, method: str, charged: Money, worth: Money) -> Entry:
    """Book money that arrived: ``charged`` by the provider, worth ``worth`` in the order's currency."""
    postings = [Posting(f"{Account.CLEARING}:{method}", charged), Posting(Account.UNALLOCATED, -worth)]
    if charged.currency != worth.currency:
        postings += [Posting(Account.EXCHANGE, -charged), Posting(Account.EXCHANGE, worth)]
    elif charged != worth:
        postings.append(Posting(Account.EXCHANGE, worth - charged))
    return Entry(EntryKind.PAYMENT, payment_id, tuple(postings))


def allocated(payment_id: UUID, amount: Money) -> Entry:
    """Book what of a payment goes to its order."""
    postings = (Posting(Account.UNALLOCATED, amount), Posting(Account.RECEIVABLE, -amount))
    return Entry(EntryKind.ALLOCATION, payment_id, postings)


def kept_as_credit(payment_id: UUID, amount: Money) -> Entry:
    """Book what of a payment exceeds its order: the customer's credit."""
    postings = (Posting(Account.UNALLOCATED, amount), Posting(Account.CUSTOMER_CREDIT, -amount))
    return Entry(EntryKind.SURPLUS, payment_id, postings)


def invoiced(invoice_id: UUID, net: Money, tax: Money) -> Entry:
    """Book an invoice."""
    postings = (
        Posting(Account.RECEIVABLE, net + tax),
        Posting(Account.REVENUE, -net),
        Posting(Account.TAX, -tax),
    )
    return Entry(EntryKind.INVOICE, invoice_id, postings)


def used_credit(order_id: UUID, amount: Money) -> Entry:
    """Book what of the customer's credit pays an order."""
    postings = (Posting(Account.CUSTOMER_CREDIT, amount), Posting(Account.RECEIVABLE, -amount))
    return Entry(EntryKind.CREDIT_USED, order_id, postings)


def returned_credit(order_id: UUID, amount: Money) -> Entry:
    """Book credit that a fully refunded order gives back."""
    postings = (Posting(Account.RECEIVABLE, amount), Posting(Account.CUSTOMER_CREDIT, -amount))
    return Entry(EntryKind.CREDIT_RETURNED, order_id, postings)


def kept_unused(note_id: UUID, total: Money) -> Entry:
    """Book that what a credit note takes back of an invoice stays the customer's credit."""
    postings = (Posting(Account.RECEIVABLE, total), Posting(Account.CUSTOMER_CREDIT, -total))
    return Entry(EntryKind.UNUSED_KEPT, note_id, postings)


def kept_unused_rest(order_id: UUID, rest: Money) -> Entry:
    """Book unused time as credit that no invoice has left to take back."""
    postings = (Posting(Account.REVENUE, rest), Posting(Account.CUSTOMER_CREDIT, -rest))
    return Entry(EntryKind.UNUSED_KEPT, order_id, postings)


def reserved_for_refund(refund_id: UUID, credit: Money) -> Entry:
    """Book credit that is to be sent back, so that no order uses it meanwhile."""
    postings = (Posting(Account.CUSTOMER_CREDIT, credit), Posting(Account.REFUND_PAYABLE, -credit))
    return Entry(EntryKind.REFUND_RESERVED, refund_id, postings)


def released_from_refund(refund_id: UUID, credit: Money) -> Entry:
    """Book that reserved credit was not sent after all."""
    postings = (Posting(Account.REFUND_PAYABLE, credit), Posting(Account.CUSTOMER_CREDIT, -credit))
    return Entry(EntryKind.REFUND_RELEASED, refund_id, postings)


def credit_noted(note_id: UUID, net: Money, tax: Money) -> Entry:
    """Book a credit note: an invoice taken back."""
    postings = (Posting(Account.REVENUE, net), Posting(Account.TAX, tax), Posting(Account.RECEIVABLE, -(net + tax)))
    return Entry(EntryKind.CREDIT_NOTE, note_id, postings)


def refunded(refund_id: UUID, method: str, sent: Money, from_order: Money, from_credit: Money) -> Entry:
    """Book money that left: ``sent`` by the provider, worth the two parts in the order's currency."""
    worth = from_order + from_credit
    postings = [
        Posting(f"{Account.CLEARING}:{method}", -sent),
        Posting(Account.RECEIVABLE, from_order),
        Posting(Account.REFUND_PAYABLE, from_credit),
    ]
    if sent.currency != worth.currency:
        postings += [Posting(Account.EXCHANGE, sent), Posting(Account.EXCHANGE, -worth)]
    elif sent != worth:
        postings.append(Posting(Account.EXCHANGE, sent - worth))
    return Entry(EntryKind.REFUND, refund_id, tuple(postings))
