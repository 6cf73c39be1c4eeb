"""What an organization uses, as the backup engine last counted it, against the quotas of a plan.

Only what can be freed is compared: the backups of a month end with it. Members are counted from tenancy's facts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

GIGABYTE = 10**9
"""Quotas of storage are in these."""

FIGURES = {
    "max_esxi_servers": "esxi_servers_count",
    "max_vms": "vms_count",
    "max_storage_gb": "storage_bytes",
    "max_users": "users_count",
}
"""Which figure counts against which quota."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A count, and when it was true."""

    value: int
    measured_at: datetime


@dataclass(frozen=True, slots=True)
class Excess:
    """More is used of a resource than a plan allows; in the quota's unit, a started gigabyte is a whole one."""

    resource: str
    limit: int
    current: int

    @property
    def to_free(self) -> int:
        """How much has to go."""
        return self.current - self.limit


def newer(known: Mapping[str, Figure], told: Mapping[str, Figure]) -> dict[str, Figure]:
    """Return the figures of both, of each the one that was measured last: reports may overtake each other."""
    news = {
        name: figure
        for name, figure in told.items()
        if name not in known or known[name].measured_at <= figure.measured_at
    }
    return {**known, **news}


def over_quota(figures: Mapping[str, Figure], quotas: Mapping[str, int]) -> tuple[Excess, ...]:
    """Return what is used beyond these quotas; what was never counted, and what has no quota, is not."""
    found = []
    for resource, name in FIGURES.items():
        if name not in figures or resource not in quotas:
            continue
        used = figures[name].value
        current = -(-used // GIGABYTE) if resource == "max_storage_gb" else used
        if current > quotas[resource]:
            found.append(Excess(resource, quotas[resource], current))
    return tuple(found)
