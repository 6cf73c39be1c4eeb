"""A refund: money of a payment that goes back. Asked for by one person of finance, let go by another, sent, followed.

Its state moves by rank only, as a payment's does. Not here: how a provider is spoken to (``adapters``).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from billing.domain.money import Money
from billing.domain.plan import Method


class RefundStatus(StrEnum):
    """Where a refund stands."""

    REQUESTED = "requested"
    APPROVED = "approved"
    PROCESSING = "processing"
    UNKNOWN = "unknown"
    REJECTED = "rejected"
    FAILED = "failed"
    COMPLETED = "completed"


class Channel(StrEnum):
    """How the money travels."""

    PROVIDER = "provider"
    """By the provider's API."""
    BY_HAND = "by_hand"
    """A person of finance sends it and records the reference of that movement."""
    ELSEWHERE = "elsewhere"
    """The provider gave it back without us: in its own back office, or by a dispute that we lost."""


_RANK = {
    RefundStatus.REQUESTED: 0,
    RefundStatus.APPROVED: 1,
    RefundStatus.PROCESSING: 2,
    RefundStatus.UNKNOWN: 2,
    RefundStatus.REJECTED: 3,
    RefundStatus.FAILED: 3,
    RefundStatus.COMPLETED: 3,
}

SENT = frozenset({RefundStatus.APPROVED, RefundStatus.PROCESSING, RefundStatus.UNKNOWN})
"""States in which the money may be on its way: followed until the provider says a final word."""

COUNTED = SENT | {RefundStatus.REQUESTED, RefundStatus.COMPLETED}
"""States that take from what may still be refunded; a rejected or failed refund gives it back."""

KEY_LIFE = timedelta(hours=6)
"""After this a request is not repeated before the provider was asked whether it has it already."""

ESCALATE_AFTER = timedelta(hours=24)
"""A refund on its way for longer is shown to a person, and followed further."""

WINDOW = {Method.PAYPAL: timedelta(days=180)}
"""How long after a payment its provider refunds it; later only by hand
(https://developer.paypal.com/archive/paypal-payments-standard/admin/refunds)."""


def refund_may_become(current: RefundStatus, wanted: RefundStatus) -> bool:
    """Say whether a refund moves; the three last states are final, ``processing`` and ``unknown`` alternate."""
    if current is wanted:
        return False
    here, there = _RANK[current], _RANK[wanted]
    return there > here or (here == there and here == _RANK[RefundStatus.UNKNOWN])


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """One refund, as its row.

    ``amount`` is what is sent, in the currency that was charged. The same in the order's currency is ``worth``, and
    falls into ``from_order`` (paid for the order: a credit note follows) and ``from_credit`` (the customer's credit).
    """

    tenant_id: UUID
    id: UUID
    payment_id: UUID
    order_id: UUID
    method: Method
    channel: Channel
    status: RefundStatus
    amount: Money
    from_order: Money
    from_credit: Money
    request_id: str
    requests: int
    provider_reference: str | None
    refund_reference: str | None
    reason: str
    reason_code: str | None
    requested_by: UUID | None
    decided_by: UUID | None
    polls: int
    next_poll_at: datetime | None
    created_at: datetime
    sent_at: datetime | None
    completed_at: datetime | None

    @property
    def worth(self) -> Money:
        return self.from_order + self.from_credit


@dataclass(frozen=True, slots=True)
class Captured:
    """What a completed payment brought, and what of it is spoken for by refunds that count.

    ``settled`` and ``refunded`` are in the charged currency; the rest in the order's: ``worth`` of the whole,
    ``allocated`` to the order, and the refunds' parts. ``credit`` is what the customer has left of his credit.
    """

    settled: Money
    worth: Money
    allocated: Money
    refunded: Money
    refunded_from_order: Money
    refunded_from_credit: Money
    credit: Money

    @property
    def left(self) -> Money:
        """What may still go back, in the charged currency."""
        return self.settled - self.refunded

    def split(self, amount: Money) -> tuple[Money, Money] | None:
        """Return which part of a refund is the order's and which is credit; ``None`` where there is not so much.

        Credit goes first: it is money for which nothing was given. The last refund takes what rounding left.
        """
        if not Money.zero(self.settled.currency) < amount <= self.left:
            return None
        open_worth = self.worth - self.refunded_from_order - self.refunded_from_credit
        if amount == self.left:
            worth = open_worth
        else:
            worth = min(self.worth.share(amount.amount_minor, self.settled.amount_minor), open_worth)
        surplus = self.worth - self.allocated - self.refunded_from_credit
        from_credit = min(worth, surplus, self.credit)
        from_order = worth - from_credit
        if from_order > self.allocated - self.refunded_from_order:
            return None
        return from_order, from_credit
