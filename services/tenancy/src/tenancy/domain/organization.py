"""The organization, its states and what it bought.

Not here: prices and payments, which are billing's; quota counters of servers and backups, which are backup-engine's.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Status(StrEnum):
    """Where an organization stands; `cancelled` and `expired` may do the same, `deleted` is for good."""

    PENDING = "pending"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    DELETED = "deleted"


TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.ACTIVE, Status.DELETED}),
    Status.ACTIVE: frozenset({Status.SUSPENDED, Status.CANCELLED, Status.EXPIRED, Status.DELETED}),
    Status.SUSPENDED: frozenset({Status.ACTIVE, Status.CANCELLED, Status.EXPIRED, Status.DELETED}),
    Status.CANCELLED: frozenset({Status.ACTIVE, Status.DELETED}),
    Status.EXPIRED: frozenset({Status.ACTIVE, Status.DELETED}),
    Status.DELETED: frozenset(),
}
"""The only moves between states; nothing else changes a status."""

WRITABLE = frozenset({Status.PENDING, Status.ACTIVE})
"""States in which members may change things; in the others they sign in, read, pay, export and restore."""


class OrderKind(StrEnum):
    """What an order asks for: a new organization, more time, or another plan."""

    NEW = "new"
    RENEWAL = "renewal"
    CHANGE = "change"


@dataclass(frozen=True, slots=True)
class Entitlements:
    """What the organization may use, as the last paid order says, and until when.

    Quotas are counts except `max_storage_gb` (1 GB = 10⁹ bytes); retention is in days.
    """

    plan: str
    billing_cycle: str
    quotas: dict[str, int]
    features: dict[str, bool]
    retention: dict[str, int]
    period_start: datetime
    period_end: datetime


@dataclass(frozen=True, slots=True)
class Organization:
    """A customer. Its id is the tenant id of every row that belongs to it."""

    id: UUID
    name: str
    slug: str
    status: Status
    owner_user_id: UUID
    email: str
    region: str
    source_order_id: UUID
    subscription_start: datetime
    entitlements: Entitlements
    version: int
    created_at: datetime

    @property
    def writable(self) -> bool:
        return self.status in WRITABLE

    def with_slug(self, slug: str) -> "Organization":
        return replace(self, slug=slug)

    def granted(self, bought: Entitlements) -> "Organization":
        """The organization with what a paid renewal or change bought, one version on; its status stays.

        The same plan bought again joins the period in force: it never starts later and never ends earlier, also
        when an older order is confirmed late.
        """
        current = self.entitlements
        if bought.plan == current.plan and bought.period_start <= current.period_end:
            bought = replace(
                bought,
                period_start=min(bought.period_start, current.period_start),
                period_end=max(bought.period_end, current.period_end),
            )
        return replace(self, entitlements=bought, version=self.version + 1)

    def shortened(self, ends_at: datetime) -> "Organization":
        """The organization whose period in force ends earlier, one version on; itself where it ends no later."""
        current = self.entitlements
        if ends_at >= current.period_end:
            return self
        paid = replace(current, period_start=min(current.period_start, ends_at), period_end=ends_at)
        return replace(self, entitlements=paid, version=self.version + 1)

    def moved(self, status: Status) -> "Organization":
        """The organization in another status, one version on; itself where `TRANSITIONS` does not lead there."""
        if status not in TRANSITIONS[self.status]:
            return self
        return replace(self, status=status, version=self.version + 1)
