"""A payment: one attempt to pay an order, a row made before any provider is called.

Its state moves by rank only (``domain.transitions``). Not here: how a provider is spoken to (``adapters``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from billing.domain.money import Money
from billing.domain.plan import Method

TRANSFER_WAITING = "transfer_waiting"
"""Kind of the case that reminds finance of a submitted transfer."""

TRANSFER_OVERDUE = "transfer_overdue"
"""Reason of a submitted transfer that nobody has found for long: it may still be approved, and keeps nothing back."""


class PaymentStatus(StrEnum):
    """Where an attempt stands."""

    PENDING = "pending"
    SUBMITTED = "submitted"
    PROCESSING = "processing"
    UNKNOWN = "unknown"
    SUPERSEDED = "superseded"
    QUARANTINED = "quarantined"
    COMPLETED = "completed"
    FAILED = "failed"
    REFUNDED = "refunded"


OFFERED = frozenset({PaymentStatus.PENDING, PaymentStatus.SUBMITTED, PaymentStatus.PROCESSING, PaymentStatus.UNKNOWN})
"""States in which the customer may still be paying by this attempt."""

WATCHED = OFFERED | {PaymentStatus.SUPERSEDED}
"""States in which money may still arrive: the provider is asked until it says a final word."""

POLL_PAUSES = tuple(timedelta(seconds=seconds) for seconds in (2, 3, 5, 10, 20, 40, 80, 160, 300))
"""Pauses between questions to a provider while the payer is at it; MTN advises to ask 5 minutes after the request at
the latest and at most 10 questions a second in all, which a budget per provider sees to."""


@dataclass(frozen=True, slots=True)
class SeenAtBank:
    """What a person, or a statement, says of a transfer that arrived.

    Attributes:
        amount: What arrived; ``None`` for the amount due.
        reference: The bank's own number of the movement; ``None`` where nobody said it.
        value_on: Its value date; of a statement's line the day on which it was booked.
    """

    amount: Money | None
    reference: str | None = None
    value_on: date | None = None

    @property
    def is_named(self) -> bool:
        """Whether the movement can be found again at the bank."""
        return bool(self.reference) and self.value_on is not None


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a submitted transfer waits: until finance is reminded of it, and until its order is given up."""

    remind: timedelta
    give_up: timedelta


SECOND_TAP = timedelta(seconds=5)
"""An attempt that is the same in every submitted field is the same for this long where no Idempotency-Key tells two
apart: who taps twice wants one prompt on his phone, and approves both where he gets two."""

SLOW_POLL = timedelta(minutes=15)
"""Pause after that: a payment may stay pending for days, and is never failed by us while the provider calls it open."""

ESCALATE_AFTER = timedelta(hours=24)
"""An attempt that is open for longer is shown to a person, and asked about further."""

MINIMUM_GAP = timedelta(milliseconds=900)
"""A hint (a callback, a webhook) may ask earlier than planned, but not sooner than this after the last question."""


def poll_pause(polls: int) -> timedelta:
    """Return how long to wait after the ``polls``-th question without a final word."""
    return POLL_PAUSES[polls] if polls < len(POLL_PAUSES) else SLOW_POLL


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """One attempt, as its row.

    ``amount`` is what it pays of the order, in the order's currency; ``charged`` is what the provider was told,
    in the currency that it takes, at ``rate_numerator / rate_denominator`` order units per charged unit.
    """

    tenant_id: UUID
    id: UUID
    user_id: UUID
    order_id: UUID
    method: Method
    status: PaymentStatus
    amount: Money
    charged: Money
    rate_numerator: int
    rate_denominator: int
    reference: str
    provider_reference: str | None
    receipt_reference: str | None
    create_request_id: str
    capture_request_id: str
    captures: int
    callback_token: str | None
    phone_number: str | None
    return_url: str | None
    cancel_url: str | None
    redirect_url: str | None
    reason_code: str | None
    submitted_by: UUID | None
    approved_by: UUID | None
    language: str
    polls: int
    next_poll_at: datetime | None
    created_at: datetime
    completed_at: datetime | None
    settled: Money | None = None
    last_poll_at: datetime | None = None
    trace: Mapping[str, str] = field(default_factory=dict)
    has_receipt: bool = field(default=False)
    bank_reference: str | None = None
    value_on: date | None = None

    @property
    def worth(self) -> Money:
        """What a completed payment is worth in the order's currency: of a transfer what arrived, else what was due."""
        same = self.settled is not None and self.settled.currency == self.amount.currency
        return (
            self.settled if self.settled is not None and same and self.method is Method.BANK_TRANSFER else self.amount
        )

    def is_again(self, wanted: "Payment") -> bool:
        """Say whether this open attempt, of a moment ago, is the one that is wanted now."""
        fields = ("order_id", "method", "amount", "charged", "phone_number", "return_url", "cancel_url", "submitted_by")
        same = all(getattr(self, name) == getattr(wanted, name) for name in fields)
        return same and self.is_offered and wanted.created_at - self.created_at < SECOND_TAP

    @property
    def is_offered(self) -> bool:
        return self.status in OFFERED

    @property
    def is_watched(self) -> bool:
        return self.status in WATCHED

    @property
    def keeps_coupon(self) -> bool:
        """Whether the order's coupon stays used for it: it may still pay at that price, and has not waited long."""
        return self.is_watched and self.reason_code != TRANSFER_OVERDUE

    def may_be_asked_about(self, now: datetime, gap: timedelta) -> bool:
        """Whether somebody with news may have the provider asked; `Polling.claim` decides who of several it is."""
        if self.next_poll_at is None:
            return False
        return self.next_poll_at <= now or self.last_poll_at is None or self.last_poll_at <= now - gap
