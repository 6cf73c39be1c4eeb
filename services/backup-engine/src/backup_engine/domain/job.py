"""Jobs and tasks: their states, the only transitions between them, and how a job's status follows from its tasks.

Not here: leases (lease.py), who may start a job (tenant.py, quota.py), SQL.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class TaskKind(StrEnum):
    BACKUP = "backup"
    RESTORE = "restore"
    REMOVE_SNAPSHOT = "remove_snapshot"


class TaskStatus(StrEnum):
    WAITING = "waiting"
    READY = "ready"
    RUNNING = "running"
    COMMITTING = "committing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    COMPLETED_WITH_WARNINGS = "completed_with_warnings"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED})
HELD = frozenset({TaskStatus.RUNNING, TaskStatus.COMMITTING})
"""States in which exactly one runner holds the lease."""
ADMITTED = HELD | {TaskStatus.READY}
"""States that take a place under the limits per host, datastore and organization."""

TRANSITIONS: dict[TaskStatus, frozenset[TaskStatus]] = {
    TaskStatus.WAITING: frozenset({TaskStatus.READY, TaskStatus.CANCELLED, TaskStatus.FAILED}),
    TaskStatus.READY: frozenset({TaskStatus.RUNNING, TaskStatus.WAITING, TaskStatus.CANCELLED}),
    TaskStatus.RUNNING: frozenset(
        {TaskStatus.COMMITTING, TaskStatus.COMPLETED, TaskStatus.WAITING, TaskStatus.FAILED, TaskStatus.CANCELLED}
    ),
    # A prepared task whose runner died goes back to waiting; its next attempt looks for the manifest first.
    TaskStatus.COMMITTING: frozenset({TaskStatus.COMPLETED, TaskStatus.WAITING, TaskStatus.FAILED}),
    TaskStatus.COMPLETED: frozenset(),
    TaskStatus.FAILED: frozenset(),
    TaskStatus.CANCELLED: frozenset(),
}


def before(target: TaskStatus) -> tuple[TaskStatus, ...]:
    """The states from which ``target`` may be entered, for the WHERE of a compare-and-set."""
    return tuple(source for source, targets in TRANSITIONS.items() if target in targets)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job's status is derived from, per task."""

    status: TaskStatus
    warned: bool = False
    started: bool = False
    """A runner had it once, even if it waits again."""


def job_status(tasks: Iterable[Outcome]) -> JobStatus:
    """A job is what its tasks are: running while any is unfinished, and no better than its worst end."""
    outcomes = list(tasks)
    states = {outcome.status for outcome in outcomes}
    if not states <= ENDED:
        untouched = states <= {TaskStatus.WAITING, TaskStatus.READY} and not any(o.started for o in outcomes)
        return JobStatus.PENDING if untouched else JobStatus.RUNNING
    if TaskStatus.FAILED in states:
        some = TaskStatus.COMPLETED in states
        return JobStatus.COMPLETED_WITH_WARNINGS if some else JobStatus.FAILED
    if TaskStatus.CANCELLED in states or not states:
        return JobStatus.CANCELLED
    return JobStatus.COMPLETED_WITH_WARNINGS if any(o.warned for o in outcomes) else JobStatus.COMPLETED


@dataclass(frozen=True, slots=True)
class Job:
    """One execution, as a person asked for it."""

    id: UUID
    kind: str
    configuration_id: UUID | None
    requested_by: UUID
    requested_at: datetime


@dataclass(frozen=True, slots=True)
class Task:
    """A job's part for one virtual machine. ``bytes_stored`` counts all attempts."""

    tenant_id: UUID
    id: UUID
    job_id: UUID | None
    kind: TaskKind
    status: TaskStatus
    vm_id: UUID | None
    server_id: UUID
    vault_id: UUID
    site_id: UUID
    point_id: UUID | None
    parent_point_id: UUID | None
    params: dict[str, Any]
    token: int
    lease_until: datetime | None
    attempts: int
    losses: int
    cancel_requested: bool
    prepared: dict[str, Any] | None
    prepared_token: int | None
    mode: str | None
    transport: str | None
    transport_reason: str | None
    phase: str | None
    bytes_total: int
    bytes_read: int
    bytes_skipped: int
    bytes_new: int
    bytes_stored: int
    bytes_stored_before: int
    stored_at_loss: int
    limiting_stage: str | None
    created_at: datetime
    not_before: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    result: dict[str, Any] | None
    warnings: list[dict[str, Any]]
    error: dict[str, Any] | None
    quota_month: date | None

    @property
    def outcome(self) -> Outcome:
        return Outcome(self.status, warned=bool(self.warnings), started=self.started_at is not None)

    @property
    def progress_percent(self) -> int:
        """How much of the disks is known; 100 only once completed."""
        if self.status is TaskStatus.COMPLETED:
            return 100
        if self.bytes_total <= 0:
            return 0
        return min(99, (self.bytes_read + self.bytes_skipped) * 100 // self.bytes_total)
