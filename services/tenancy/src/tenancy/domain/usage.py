"""Usage months: which month of an organization a moment belongs to, and the figures kept for it."""

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class UsageMonth:
    """A month from the subscription's anchor day; `end` is the first day that no longer belongs to it."""

    start: date
    end: date

    @property
    def last_day(self) -> date:
        return self.end - timedelta(days=1)

    @classmethod
    def at(cls, anchor: date, moment: datetime) -> "UsageMonth":
        """The month that `moment` falls in, counted from the day on which the subscription began.

        The anchor day is kept: 31 January is followed by 28 February and then by 31 March.
        """
        day = max(moment.date(), anchor)
        months = (day.year - anchor.year) * 12 + day.month - anchor.month
        if _plus_months(anchor, months) > day:
            months -= 1
        return cls(_plus_months(anchor, months), _plus_months(anchor, months + 1))


def _plus_months(anchor: date, months: int) -> date:
    year, month = divmod(anchor.month - 1 + months, 12)
    year, month = anchor.year + year, month + 1
    return date(year, month, min(anchor.day, monthrange(year, month)[1]))


@dataclass(frozen=True, slots=True)
class Usage:
    """Figures of one usage month; storage is in bytes."""

    month: UsageMonth
    esxi_servers_count: int = 0
    vms_count: int = 0
    backups_count: int = 0
    storage_bytes: int = 0
    users_count: int = 0

    def updated(self, figures: Mapping[str, int]) -> "Usage":
        """The same month with the named figures replaced."""
        unknown = figures.keys() - {item.name for item in fields(self)} | figures.keys() & {"month"}
        if unknown:
            msg = f"no such figures: {sorted(unknown)}"
            raise ValueError(msg)
        return replace(self, **dict[str, Any](figures))
