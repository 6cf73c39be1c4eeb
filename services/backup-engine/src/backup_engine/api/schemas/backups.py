"""Configurations, jobs, restore points, chains."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from common.web import Answer, Body
from pydantic import Field, model_validator

from backup_engine.domain.inventory import Configuration
from backup_engine.domain.job import Job, Task, job_status
from backup_engine.domain.point import RestorePoint
from backup_engine.domain.problem import shown

Name = Annotated[str, Field(min_length=1, max_length=200)]
Machines = Annotated[list[UUID], Field(min_length=1, max_length=1000)]
Quiesce = Literal["none", "try", "require"]
Days = Annotated[int, Field(ge=1, le=3650)]


class ConfigurationIn(Body):
    """``quiesce``: «try» falls back to crash-consistent with a warning. ``retention_days``: at most the plan's."""

    name: Name
    server_id: UUID
    vm_ids: Machines
    quiesce: Quiesce = "try"
    retention_days: Days | None = None


class ConfigurationChange(Body):
    name: Name | None = None
    vm_ids: Machines | None = None
    quiesce: Quiesce | None = None
    is_active: bool | None = None


class ConfigurationOut(Answer):
    id: UUID
    name: str
    server_id: UUID
    vm_ids: list[UUID]
    quiesce: str
    retention_days: int | None
    is_active: bool
    created_by: UUID
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, configuration: Configuration) -> Self:
        return cls.model_validate(configuration)


class BackupJobIn(Body):
    """Exactly one of the two."""

    configuration_id: UUID | None = None
    vm_id: UUID | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.configuration_id is None) == (self.vm_id is None):
            raise ValueError("give either configuration_id or vm_id")
        return self


class TaskOut(Answer):
    """A job's part for one virtual machine. ``error`` of a waiting task is what its last attempt met."""

    id: UUID
    vm_id: UUID | None
    status: str
    phase: str | None
    mode: str | None
    transport: str | None
    transport_reason: str | None
    progress_percent: int
    bytes_total: int
    bytes_read: int
    bytes_skipped: int
    bytes_new: int
    bytes_stored: int
    limiting_stage: str | None
    attempts: int
    restore_point_id: UUID | None
    started_at: datetime | None
    finished_at: datetime | None
    warnings: list[dict[str, Any]]
    error: dict[str, Any] | None

    @classmethod
    def of(cls, task: Task, language: str) -> Self:
        own = {"restore_point_id", "warnings", "error"}
        fields = {name: getattr(task, name) for name in cls.model_fields if name not in own}
        point = task.id if task.kind == "backup" and task.status == "completed" else task.point_id
        return cls(
            **fields,
            restore_point_id=point,
            warnings=[shown(warning, language) for warning in task.warnings],  # type: ignore[arg-type]
            error=None if task.error is None else shown(task.error, language),  # type: ignore[arg-type]
        )


class JobOut(Answer):
    """A job with the sums of its tasks."""

    id: UUID
    status: str
    configuration_id: UUID | None
    requested_by: UUID
    requested_at: datetime
    progress_percent: int
    bytes_total: int
    bytes_read: int
    bytes_skipped: int
    bytes_new: int
    bytes_stored: int
    tasks: list[TaskOut]

    @classmethod
    def of(cls, job: Job, tasks: list[Task], language: str) -> Self:
        counted = ("bytes_total", "bytes_read", "bytes_skipped", "bytes_new", "bytes_stored")
        sums = {name: sum(getattr(task, name) for task in tasks) for name in counted}
        return cls(
            id=job.id,
            status=str(job_status(task.outcome for task in tasks)),
            configuration_id=job.configuration_id,
            requested_by=job.requested_by,
            requested_at=job.requested_at,
            progress_percent=sum(task.progress_percent for task in tasks) // max(1, len(tasks)),
            tasks=[TaskOut.of(task, language) for task in tasks],
            **sums,
        )


class PointDiskOut(Answer):
    key: int
    label: str
    uuid: str | None
    capacity_bytes: int
    mode: str
    full_reason: str | None
    transport: str
    transport_reason: str
    bytes_read: int
    bytes_skipped: int
    bytes_new: int
    bytes_stored: int
    bytes_data: int


class PointOut(Answer):
    """A restore point: a full map of every disk, whatever its mode of reading was."""

    id: UUID
    vm_id: UUID
    vm_name: str
    server_id: UUID
    vault_id: UUID
    job_id: UUID
    mode: str
    quiesced: bool
    parent_point_id: UUID | None
    snapshot_at: datetime
    committed_at: datetime
    keep_until: datetime
    tombstoned_at: datetime | None
    capacity_bytes: int
    bytes_read: int
    bytes_skipped: int
    bytes_new: int
    bytes_stored: int
    seconds_total: int
    limiting_stage: str | None
    warnings: list[dict[str, Any]]
    disks: list[PointDiskOut]

    @classmethod
    def of(cls, point: RestorePoint, language: str) -> Self:
        fields = {name: getattr(point, name) for name in cls.model_fields if name not in {"warnings", "disks"}}
        warnings = [shown(warning, language) for warning in point.warnings]  # type: ignore[arg-type]
        return cls(**fields, warnings=warnings, disks=[PointDiskOut.model_validate(disk) for disk in point.disks])


class ChainOut(Answer):
    """The ordered restore points of one virtual machine, in figures; the points are at /api/restore-points/?vm_id=."""

    vm_id: UUID
    vm_name: str
    points_count: int
    oldest_at: datetime
    newest_at: datetime
    bytes_stored: int
