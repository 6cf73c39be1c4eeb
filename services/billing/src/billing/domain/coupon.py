"""Coupons: a percentage or a fixed amount per currency, and when they hold.

Counting uses is the database's business, under a lock (``persistence``); here is what needs no row lock.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from billing.domain.money import Money

HUNDREDTHS = 10_000
"""A percentage is kept in hundredths of a percent: 12.5 % is 1 250 of 10 000."""


class CouponRefusal(StrEnum):
    """Why a coupon does not hold; part of the answer of ``validate/``."""

    UNKNOWN = "unknown"
    SWITCHED_OFF = "switched_off"
    NOT_STARTED = "not_started"
    EXPIRED = "expired"
    OTHER_PLAN = "other_plan"
    BELOW_MINIMUM = "below_minimum"
    OTHER_CURRENCY = "other_currency"
    USED_UP = "used_up"
    USED_BY_CUSTOMER = "used_by_customer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Coupon:
    """A coupon, as its row. Limits that are ``None`` do not exist; 0 means never."""

    id: UUID
    code: str
    percent_hundredths: int | None
    fixed: dict[str, int]
    valid_from: datetime | None
    valid_until: datetime | None
    plan_ids: tuple[int, ...]
    minimum: dict[str, int]
    max_redemptions: int | None
    max_per_customer: int | None
    redemptions: int
    is_active: bool = True

    def refusal(self, *, plan_id: int, subtotal: Money, now: datetime) -> CouponRefusal | None:
        """Return why the coupon does not hold for this purchase, or ``None``; limits per customer are not seen here."""
        currency = subtotal.currency
        # Terms that say nothing of a currency do not hold in it: else a minimum would be left out by paying in another.
        unknown = bool(self.minimum) and currency not in self.minimum
        fails = {
            CouponRefusal.SWITCHED_OFF: not self.is_active,
            CouponRefusal.NOT_STARTED: self.valid_from is not None and now < self.valid_from,
            CouponRefusal.EXPIRED: self.valid_until is not None and now >= self.valid_until,
            CouponRefusal.OTHER_PLAN: bool(self.plan_ids) and plan_id not in self.plan_ids,
            CouponRefusal.BELOW_MINIMUM: subtotal.amount_minor < self.minimum.get(currency, 0),
            CouponRefusal.OTHER_CURRENCY: unknown or (self.percent_hundredths is None and currency not in self.fixed),
            CouponRefusal.USED_UP: self.max_redemptions is not None and self.redemptions >= self.max_redemptions,
        }
        return next((refusal for refusal, failed in fails.items() if failed), None)

    def discount(self, subtotal: Money) -> Money:
        """Return what the coupon takes off: half-up, never more than the subtotal, never negative."""
        if self.percent_hundredths is not None:
            wanted = subtotal.share(self.percent_hundredths, HUNDREDTHS)
        else:
            wanted = Money(self.fixed.get(subtotal.currency, 0), subtotal.currency)
        return max(Money.zero(subtotal.currency), min(wanted, subtotal))


def normalised(code: str) -> str:
    """Return the spelling under which a code is kept: case and surrounding blanks do not matter."""
    return code.strip().upper()
