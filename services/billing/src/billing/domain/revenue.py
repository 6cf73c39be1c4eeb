"""What finance asks of a month: recurring revenue, who left, what came in and went back by which way."""

from dataclasses import dataclass
from datetime import datetime

from billing.domain.money import Money, divide_half_up


@dataclass(frozen=True, slots=True)
class Flow:
    """Money of one payment method in one currency."""

    method: str
    received: Money
    refunded: Money


@dataclass(frozen=True, slots=True)
class Revenue:
    """The figures of ``[since, until)``; its end is now where it is not over. All without tax, except what flowed.

    Attributes:
        mrr: What a month costs of what runs at its end (monthly recurring revenue), per currency.
        mrr_at_start: The same at its beginning.
        mrr_churned: The part of that whose subscriptions do not run at its end.
        active: Subscriptions that run at its end.
        active_at_start: Those at its beginning.
        ended: Those of them that do not run at its end; one that left and came back in between is none.
    """

    since: datetime
    until: datetime
    mrr: tuple[Money, ...]
    mrr_at_start: tuple[Money, ...]
    mrr_churned: tuple[Money, ...]
    active: int
    active_at_start: int
    ended: int
    invoiced: tuple[Money, ...]
    flows: tuple[Flow, ...]

    @property
    def churn_percent(self) -> str:
        """Of the subscriptions that ran at the start, how many do not at the end: per cent with two decimals."""
        hundredths = divide_half_up(self.ended * 10_000, self.active_at_start) if self.active_at_start else 0
        return f"{hundredths // 100}.{hundredths % 100:02d}"
