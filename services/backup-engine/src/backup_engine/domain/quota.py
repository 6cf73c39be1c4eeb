"""Quotas of a plan: what is limited, in which unit, over which period."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum

GB = 10**9
"""A plan's gigabyte is decimal."""
FAILED_STORAGE_FACTOR = 2
"""Bytes of failed tasks count against this many times the quota until they are collected."""
NEARING_PERCENT = 90


class Resource(StrEnum):
    ESXI_SERVERS = "esxi_servers"
    VMS = "vms"
    BACKUPS = "backups_per_month"
    STORAGE = "storage_gb"


FIELD = {
    Resource.ESXI_SERVERS: "max_esxi_servers",
    Resource.VMS: "max_vms",
    Resource.BACKUPS: "max_backups_per_month",
    Resource.STORAGE: "max_storage_gb",
}
"""The plan's field that limits a resource, as the guide names it."""


@dataclass(frozen=True, slots=True)
class Quotas:
    """The limits in force; a missing or null one is unlimited."""

    limits: Mapping[str, int | None]

    def limit(self, resource: Resource) -> int | None:
        return self.limits.get(FIELD[resource])

    @property
    def storage_bytes(self) -> int | None:
        gigabytes = self.limit(Resource.STORAGE)
        return None if gigabytes is None else gigabytes * GB


def usage_month(now: datetime, anchor: datetime | None) -> date:
    """First day of the running usage month, which begins on the subscription's anchor day (also on yearly plans).

    An anchor day that a month does not have falls on its last day (31 January → 28 February → 31 March).
    """
    today = now.astimezone(UTC).date()
    day = 1 if anchor is None else anchor.astimezone(UTC).day
    start = _on(today.year, today.month, day)
    if start <= today:
        return start
    return _on(today.year - (today.month == 1), (today.month - 2) % 12 + 1, day)


def _on(year: int, month: int, day: int) -> date:
    following = date(year + (month == 12), month % 12 + 1, 1)
    last = (following - date.resolution).day
    return date(year, month, min(day, last))


def crossed(before: int, after: int, limit: int, percent: int) -> bool:
    """Whether usage passed ``percent`` of ``limit`` just now, so that a notice goes out once and not on each use."""
    threshold = limit * percent
    return before * 100 < threshold <= after * 100
