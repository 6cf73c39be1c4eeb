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


class Account(StrEnum):
    """Where value is. Clearing accounts carry the method's name after the colon."""

    CLEARING = "clearing"
    EXCHANGE = "exchange"
    UNALLOCATED = "unallocated"
    RECEIVABLE = "receivable"
    CUSTOMER_CREDIT = "customer_credit"
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
