"""Jobs and tasks: their states, the only transitions between them, and how a job's status follows from its tasks.

Not here: leases (lease.py), who may start a job (tenant.py, quota.py), SQL.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


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


def job_status(tasks: Iterable[Outcome]) -> JobStatus:
    """A job is what its tasks are: running while any is unfinished, and no better than its worst end."""
    outcomes = list(tasks)
    states = {outcome.status for outcome in outcomes}
    if not states <= ENDED:
        untouched = states <= {TaskStatus.WAITING, TaskStatus.READY}
        return JobStatus.PENDING if untouched else JobStatus.RUNNING
    if TaskStatus.FAILED in states:
        some = TaskStatus.COMPLETED in states
        return JobStatus.COMPLETED_WITH_WARNINGS if some else JobStatus.FAILED
    if TaskStatus.CANCELLED in states or not states:
        return JobStatus.CANCELLED
    return JobStatus.COMPLETED_WITH_WARNINGS if any(o.warned for o in outcomes) else JobStatus.COMPLETED
