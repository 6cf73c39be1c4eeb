"""What is used beside what the plan allows: which limits are near, and which are passed."""

from collections.abc import Mapping
from dataclasses import dataclass

from tenancy.domain.usage import Usage

GB = 10**9
"""A plan's gigabyte is decimal."""
NEAR_PERCENT = 90
"""From here on the owner is written to."""

FIGURES = {
    "esxi_servers": ("max_esxi_servers", "esxi_servers_count"),
    "vms": ("max_vms", "vms_count"),
    "backups_per_month": ("max_backups_per_month", "backups_count"),
    "storage_gb": ("max_storage_gb", "storage_bytes"),
    "users": ("max_users", "users_count"),
}
"""By the words of `quota_reached`: the plan's quota and the figure that counts against it."""
IN_BYTES = "storage_gb"
MONTHLY = "backups_per_month"
"""Counted anew each month: nothing of it can be freed."""


@dataclass(frozen=True, slots=True)
class Level:
    """How full a limit is; storage in bytes, everything else in pieces."""

    resource: str
    limit: int
    used: int

    @property
    def in_bytes(self) -> bool:
        return self.resource == IN_BYTES

    @property
    def over(self) -> int:
        """How much is used beyond the limit; 0 or less where nothing is."""
        return self.used - self.limit

    @property
    def near(self) -> bool:
        return self.over <= 0 and self.limit > 0 and self.used * 100 >= self.limit * NEAR_PERCENT


def levels(usage: Usage, quotas: Mapping[str, int | None]) -> list[Level]:
    """Every limit of the plan; what it does not limit has no level."""
    found = []
    for resource, (quota, figure) in FIGURES.items():
        limit = quotas.get(quota)
        if limit is not None:
            unit = GB if resource == IN_BYTES else 1
            found.append(Level(resource, limit * unit, getattr(usage, figure)))
    return found


def passed(usage: Usage, quotas: Mapping[str, int | None]) -> list[Level]:
    """The limits beyond which something is used, as after a change to a smaller plan."""
    return [level for level in levels(usage, quotas) if level.over > 0]
