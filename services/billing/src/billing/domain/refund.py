"""A refund: money of a payment that goes back. Asked for by one person of finance, let go by another, sent, followed.

Its state moves by rank only, as a payment's does. Not here: how a provider is spoken to (``adapters``).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from common.ids import uuid7

from billing.domain.money import Money
from billing.domain.payment import Payment
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

UNDERWAY = SENT | {RefundStatus.REQUESTED}
"""States in which the money is still here, and is spoken for."""

COUNTED = UNDERWAY | {RefundStatus.COMPLETED}
"""States that take from what may still be refunded; a rejected or failed refund gives it back."""

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
    reason: str
    created_at: datetime
    requests: int = 1
    provider_reference: str | None = None
    refund_reference: str | None = None
    reason_code: str | None = None
    requested_by: UUID | None = None
    decided_by: UUID | None = None
    polls: int = 0
    next_poll_at: datetime | None = None
    sent_at: datetime | None = None
    completed_at: datetime | None = None

    @classmethod
    def of(cls, payment: Payment, amount: Money, parts: tuple[Money, Money], **more: Any) -> "Refund":
        """Return a new refund of a payment, with the keys that its provider will be told.

        Args:
            payment: Completed.
            amount: What goes back, in the currency that was charged.
            parts: As `Captured.split` returns them.
            more: How it travels, where it stands, why, and since when.
        """
        refund_id = uuid7()
        return cls(
            tenant_id=payment.tenant_id,
            id=refund_id,
            payment_id=payment.id,
            order_id=payment.order_id,
            method=payment.method,
            amount=amount,
            from_order=parts[0],
            from_credit=parts[1],
            request_id=f"refund-{refund_id}-1",
            **more,
        )

    @property
    def worth(self) -> Money:
        return self.from_order + self.from_credit


@dataclass(frozen=True, slots=True)
class Captured:
    """What a completed payment brought, and what of it is spoken for by refunds that count.

    ``settled`` and ``refunded`` are in the charged currency; the rest in the order's: ``worth`` of the whole,
    ``allocated`` to the order, and the refunds' parts. ``order_left`` is what of its order, by whichever payment, has
    gone back neither by a refund nor as credit for unused time; ``kept`` what of that credit became the customer's, and
    ``credit`` what he has left of all his credit.
    """

    settled: Money
    worth: Money
    allocated: Money
    refunded: Money
    refunded_from_order: Money
    refunded_from_credit: Money
    credit: Money
    order_left: Money
    kept: Money

    @property
    def left(self) -> Money:
        """What has not gone back of it by refunds, in the charged currency."""
        return self.settled - self.refunded

    @property
    def refundable(self) -> Money:
        """What may still go back, in the charged currency: never what was credited, nor credit that was spent."""
        worth = self._from_order + self._from_credit
        if worth >= self._open_worth:
            return self.left
        return min(
            Money(worth.amount_minor * self.settled.amount_minor // self.worth.amount_minor, self.settled.currency),
            self.left,
        )

    @property
    def _open_worth(self) -> Money:
        return self.worth - self.refunded_from_order - self.refunded_from_credit

    @property
    def _from_order(self) -> Money:
        return max(min(self.allocated - self.refunded_from_order, self.order_left), Money.zero(self.worth.currency))

    @property
    def _from_credit(self) -> Money:
        own = self.worth - self.allocated + self.kept - self.refunded_from_credit
        return max(min(own, self.credit), Money.zero(self.worth.currency))

    def split(self, amount: Money, *, has_left: bool = False) -> tuple[Money, Money] | None:
        """Return which part of a refund is the order's and which is credit; ``None`` where there is not so much.

        Credit goes first: it is money for which nothing was given. The last refund takes what rounding left.

        Args:
            amount: In the charged currency.
            has_left: Its provider has sent it already: what was credited for unused time is then given twice, and
                only what was captured is a limit.
        """
        if not Money.zero(self.settled.currency) < amount <= self.left:
            return None
        of_order = self.allocated - self.refunded_from_order if has_left else self._from_order
        share = min(self.worth.share(amount.amount_minor, self.settled.amount_minor), self._open_worth)
        for worth in (self._open_worth, share) if amount == self.left else (share,):
            from_credit = min(worth, self._from_credit)
            if worth - from_credit <= of_order:
                return worth - from_credit, from_credit
        return None
