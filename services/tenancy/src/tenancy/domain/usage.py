"""Usage months: which month of an organization a moment belongs to, and the figures kept for it."""

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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


FIGURES = ("esxi_servers_count", "vms_count", "backups_count", "storage_bytes", "users_count")
"""What is counted, by the names that events and answers use."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Figures of one usage month; storage is in bytes. `measured` says when each reported figure was true."""

    month: UsageMonth
    esxi_servers_count: int = 0
    vms_count: int = 0
    backups_count: int = 0
    storage_bytes: int = 0
    users_count: int = 0
    measured: Mapping[str, datetime] = field(default_factory=dict)

    def reported(self, figures: Mapping[str, int], measured_at: datetime) -> "Usage":
        """The same month with the figures of a report, each unless a newer one is known.

        Reports may overtake each other and may name different figures, so each figure has its own time.

        Raises:
            ValueError: there is no such figure.
        """
        if unknown := figures.keys() - set(FIGURES):
            msg = f"no such figures: {sorted(unknown)}"
            raise ValueError(msg)
        newer = {
            name: figure
            for name, figure in figures.items()
            if name not in self.measured or self.measured[name] <= measured_at
        }
        times = dict(self.measured) | dict.fromkeys(newer, measured_at)
        return replace(self, measured=times, **dict[str, Any](newer))
