"""The facts that backup-engine publishes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar, Self
from uuid import UUID

from common.audit import AuditRecorded
from common.messaging import Fact

_ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")


class BackupCompleted(Fact):
    """A restore point was committed."""

    name: ClassVar[str] = "backup.completed"

    job_id: UUID
    task_id: UUID
    vm_id: UUID
    restore_point_id: UUID
    mode: str
    bytes_read: int
    bytes_new: int
    bytes_stored: int
    committed_at: datetime
    keep_until: datetime

    @classmethod
    def example(cls) -> Self:
        return cls(
            job_id=_ID,
            task_id=_ID,
            vm_id=_ID,
            restore_point_id=_ID,
            mode="incremental",
            bytes_read=52_428_800,
            bytes_new=41_943_040,
            bytes_stored=20_971_520,
            committed_at=datetime(2026, 11, 22, 1, 0, tzinfo=UTC),
            keep_until=datetime(2027, 1, 21, 1, 0, tzinfo=UTC),
        )


class BackupFailed(Fact):
    """A backup task ended without a restore point; earlier points are intact."""

    name: ClassVar[str] = "backup.failed"

    job_id: UUID
    task_id: UUID
    vm_id: UUID
    code: str

    @classmethod
    def example(cls) -> Self:
        return cls(job_id=_ID, task_id=_ID, vm_id=_ID, code="hypervisor_login_refused")


class RestoreCompleted(Fact):
    """A restore ended with a machine on a host, or with disk files."""

    name: ClassVar[str] = "restore.completed"

    job_id: UUID
    restore_point_id: UUID
    kind: str
    vm_id: UUID | None = None

    @classmethod
    def example(cls) -> Self:
        return cls(job_id=_ID, restore_point_id=_ID, kind="vm", vm_id=_ID)


class PointsDeleted(Fact):
    """A person deleted restore points of a machine; they can be brought back until ``undo_until``."""

    name: ClassVar[str] = "points.deleted"

    restore_point_ids: list[UUID]
    vm_id: UUID
    deleted_by: UUID
    deleted_at: datetime
    undo_until: datetime

    @classmethod
    def example(cls) -> Self:
        return cls(
            restore_point_ids=[_ID],
            vm_id=_ID,
            deleted_by=_ID,
            deleted_at=datetime(2026, 11, 22, 1, 0, tzinfo=UTC),
            undo_until=datetime(2026, 11, 29, 1, 0, tzinfo=UTC),
        )


class UsageRecorded(Fact):
    """What is used now: whole figures, so that a lost or repeated one corrupts no sum; what is absent is unchanged."""

    name: ClassVar[str] = "usage.recorded"

    measured_at: datetime
    esxi_servers_count: int | None = None
    vms_count: int | None = None
    backups_count: int | None = None
    storage_bytes: int | None = None
    reconciled: bool = False
    """Counted anew from what is there, not carried on from change to change."""

    @classmethod
    def example(cls) -> Self:
        return cls(measured_at=datetime(2026, 11, 22, 1, 0, tzinfo=UTC), backups_count=17, storage_bytes=20_971_520)


class QuotaNearing(Fact):
    """90 % of a limit are used; sent once when it is passed."""

    name: ClassVar[str] = "quota.nearing"

    resource: str
    limit: int
    used: int
    unit: str

    @classmethod
    def example(cls) -> Self:
        return cls(resource="vms", limit=50, used=45, unit="count")


class QuotaHit(Fact):
    """A limit stopped something."""

    name: ClassVar[str] = "quota.reached"

    resource: str
    limit: int
    current: int

    @classmethod
    def example(cls) -> Self:
        return cls(resource="backups_per_month", limit=500, current=500)


FACTS: tuple[type[Fact], ...] = (
    BackupCompleted,
    BackupFailed,
    RestoreCompleted,
    PointsDeleted,
    UsageRecorded,
    QuotaNearing,
    QuotaHit,
    AuditRecorded,
)
