"""The daily comparison of what a provider says of a payment with its row and with the ledger."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from billing.domain.money import Money
from billing.domain.plan import Method


@dataclass(frozen=True, slots=True)
class Row:
    """A payment that completed or was refunded on the day, and whose it is."""

    tenant_id: UUID
    payment_id: UUID


@dataclass(frozen=True, slots=True)
class Said:
    """What the provider says of a payment; ``refunded`` is ``None`` where it does not say."""

    completed: bool
    amount: Money | None
    receipt_reference: str | None
    refunded: Money | None


@dataclass(frozen=True, slots=True)
class Ours:
    """What our row and our ledger say; ``cleared`` is the balance of its clearing account for this payment alone."""

    settled: Money
    receipt_reference: str | None
    refunded: Money
    cleared: Money


@dataclass(frozen=True, slots=True)
class Movement:
    """One movement of a provider's own list; negative where money left."""

    provider: Method
    reference: str
    amount: Money | None
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Run:
    """One day's comparison with one provider."""

    provider: str
    day: date
    finished_at: datetime | None
    checked: int
    differences: int
    is_listed: bool


def differences(said: Said, ours: Ours) -> list[str]:
    """Return what differs: nothing, or words that tell a person where to look."""
    found = []
    if not said.completed:
        found.append("state")
    elif said.amount != ours.settled:
        found.append("amount")
    if said.completed and said.receipt_reference != ours.receipt_reference:
        found.append("reference")
    if said.completed and said.refunded is not None and said.refunded != ours.refunded:
        found.append("refunded")
    if ours.cleared != ours.settled - ours.refunded:
        found.append("ledger")
    return found
