"""What the plain books are about: purchases, the periods that they bought, attempts to pay, and money that goes back."""

import calendar
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction


def half_up(amount: Fraction) -> int:
    return int(amount + Fraction(1, 2))


def in_cents(francs: int) -> int:
    """Return what PayPal takes for so many francs, 655.957 of which are a euro: a cent at the least."""
    return max(half_up(Fraction(francs * 100_000, 655_957)), 1)


def months_later(start: datetime, months: int, anchor: int) -> datetime:
    year, month = start.year, start.month
    for _ in range(months):
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return start.replace(year=year, month=month, day=min(anchor, calendar.monthrange(year, month)[1]))


@dataclass
class Purchase:
    """An order: ``paid`` is what money and credit have brought it, of which ``by_credit``.

    ``credit`` is what the time that it replaces pays of its price, ``unspent`` what that is worth beyond it, and
    ``replaces`` the purchases whose time that is, with what of their money they have back by it; ``reckoned_from`` are
    the periods. ``noted`` is what of its invoice was taken back, of which ``kept`` as credit; ``underway`` what refunds
    that are asked for take of it. ``replaced_by`` is the change that credited ``credited`` of its money.
    ``total`` is with the taxes, which are on ``net``; credit for time is before them.
    """

    id: str
    kind: str
    plan: int
    months: int
    total: int
    net: int
    credit: int
    placed_at: datetime
    scheduled: bool
    paid: int = 0
    by_credit: int = 0
    returned: int = 0
    settled: bool = False
    unspent: int = 0
    noted: int = 0
    kept: int = 0
    underway: int = 0
    credited: int = 0
    replaced_by: "Purchase | None" = None
    replaces: "list[tuple[Purchase, int]]" = field(default_factory=list)
    reckoned_from: list[tuple[datetime, datetime]] = field(default_factory=list)

    @property
    def is_all_back(self) -> bool:
        return self.settled and 0 < self.returned == self.paid


@dataclass
class Span:
    """A paid period; ``struck_at`` where something replaced it or it was taken back before it began."""

    purchase: Purchase
    starts: datetime
    ends: datetime
    struck_at: datetime | None = None


@dataclass
class Attempt:
    """A payment: what it asks for in francs, and what its provider is told to take."""

    id: str
    purchase: Purchase
    method: str
    due: int
    charged: int
    currency: str
    worth: int = 0
    to_purchase: int = 0
    taken: int = 0
    gone: int = 0
    gone_from_purchase: int = 0
    gone_from_credit: int = 0

    @property
    def left(self) -> int:
        return self.taken - self.gone


@dataclass
class GivenBack:
    """A refund that was asked for; both parts are in francs, ``amount`` is in what was charged."""

    attempt: Attempt
    amount: int
    from_purchase: int
    from_credit: int
    asked_at: datetime
    counts: bool = False
