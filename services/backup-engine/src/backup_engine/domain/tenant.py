"""What an organization may do in each of its states."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from backup_engine.domain.quota import Quotas
from backup_engine.errors import OrganizationBeingPrepared, OrganizationDeleted, OrganizationSuspended


class TenantStatus(StrEnum):
    PENDING = "pending"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    DELETED = "deleted"


class Act(StrEnum):
    """What a request does, as far as the organization's state matters."""

    READ = "read"
    RESTORE = "restore"
    CHANGE = "change"


@dataclass(frozen=True, slots=True)
class Tenant:
    """The entitlements in force here, a copy of what tenancy last published."""

    tenant_id: UUID
    status: TenantStatus
    quotas: Quotas
    backup_retention_days: int
    anchor: datetime | None = None
    features: frozenset[str] = field(default_factory=frozenset)
    version: int = 0

    def allow(self, act: Act) -> None:
        """Raises unless the organization's state allows the act.

        Suspended, cancelled and expired organizations read and restore until they are deleted (S42).
        """
        if self.status is TenantStatus.DELETED:
            raise OrganizationDeleted
        if self.status is TenantStatus.PENDING:
            raise OrganizationBeingPrepared
        if act is Act.CHANGE and self.status is not TenantStatus.ACTIVE:
            raise OrganizationSuspended(status=str(self.status))

    @property
    def runs_backups(self) -> bool:
        return self.status is TenantStatus.ACTIVE
