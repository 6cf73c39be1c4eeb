"""What the unused part of paid periods is worth when another plan begins at once: to the second, half-up, before tax.

Worked: 50 000 XAF from 1 June to 1 July, changed on 16 June: 1 296 000 of 2 592 000 s lie ahead, so 25 000 XAF are
credited.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from billing.domain.money import Money
from billing.domain.period import Period, unused_part

DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class PaidAhead:
    """A period that is not over: what it cost before tax, by money that is still ours or by credit for a former period.

    ``money`` is that money alone, tax included.
    """

    order_id: UUID
    period: Period
    cost: Money
    money: Money


@dataclass(frozen=True, slots=True)
class Unused:
    """A period that is cut short: what it cost, by money or by credit, and what of that lies ahead.

    ``money`` is what of its order's money, tax included, the customer has back by that credit: it is not refunded
    again. ``order_id`` is ``None`` in what was written before this was kept.
    """

    starts_at: datetime
    ends_at: datetime
    cost: Money
    credit: Money
    money: Money
    order_id: UUID | None

    @property
    def days(self) -> str:
        """Its length in days, with two decimals."""
        return _days(self.ends_at - self.starts_at)

    def days_left(self, at: datetime) -> str:
        """What of it lies ahead, in days with two decimals."""
        return _days(self.ends_at - max(at, self.starts_at))

    @property
    def per_day(self) -> Money:
        """What a day of it costs, half-up: for people; the credit is reckoned to the second."""
        return self.cost.share(DAY_SECONDS, int((self.ends_at - self.starts_at).total_seconds()))


def _days(span: Any) -> str:
    hundredths = int(span.total_seconds()) * 100 // DAY_SECONDS
    return f"{hundredths // 100}.{hundredths % 100:02d}"


@dataclass(frozen=True, slots=True)
class Proration:
    """How the credit of a change comes about."""

    at: datetime
    unused: tuple[Unused, ...]

    @classmethod
    def of(cls, periods: Iterable[PaidAhead], at: datetime) -> "Proration":
        """Reckon it from the periods that are not over."""
        return cls(
            at,
            tuple(
                Unused(
                    one.period.starts_at,
                    one.period.ends_at,
                    one.cost,
                    unused_part(one.cost, one.period, at),
                    unused_part(one.money, one.period, at),
                    one.order_id,
                )
                for one in periods
            ),
        )

    def credit(self, currency: str) -> Money:
        """All that is credited."""
        return sum((one.credit for one in self.unused), Money.zero(currency))

    def is_of(self, periods: Iterable[PaidAhead], at: datetime) -> bool:
        """Say whether what it credits is all that is paid for still: no period came since, none moved or went."""
        credited = {(one.starts_at, one.ends_at) for one in self.unused if one.ends_at > at}
        return credited == {(one.period.starts_at, one.period.ends_at) for one in periods}

    def document(self) -> dict[str, Any]:
        """Return it as JSON for a row."""
        return {
            "at": self.at.isoformat(),
            "unused": [
                {
                    "starts_at": one.starts_at.isoformat(),
                    "ends_at": one.ends_at.isoformat(),
                    "cost_minor": one.cost.amount_minor,
                    "credit_minor": one.credit.amount_minor,
                    "money_minor": one.money.amount_minor,
                    "order_id": str(one.order_id) if one.order_id else None,
                    "currency": one.cost.currency,
                }
                for one in self.unused
            ],
        }

    @classmethod
    def read(cls, document: dict[str, Any]) -> "Proration":
        """Read what `document` wrote."""
        return cls(
            datetime.fromisoformat(document["at"]),
            tuple(
                Unused(
                    datetime.fromisoformat(one["starts_at"]),
                    datetime.fromisoformat(one["ends_at"]),
                    Money(one["cost_minor"], one["currency"]),
                    Money(one["credit_minor"], one["currency"]),
                    Money(one.get("money_minor", 0), one["currency"]),
                    UUID(one["order_id"]) if one.get("order_id") else None,
                )
                for one in document["unused"]
            ),
        )
