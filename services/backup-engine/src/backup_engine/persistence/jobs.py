"""Jobs and tasks as rows. Who may move a task between its states is in `domain/job.py`; each move is one UPDATE."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from common.telemetry.context import carried
from sqlalchemy import func, insert, select, update

from backup_engine.domain.job import ENDED, HELD, Job, Task, TaskKind, TaskStatus, before
from backup_engine.errors import JobNotFound, StaleToken
from backup_engine.persistence.rows import Repository, build
from backup_engine.persistence.tables import backup_jobs, collections, tasks

COUNTED = ("bytes_total", "bytes_read", "bytes_skipped", "bytes_new", "bytes_stored")


class JobRepository(Repository):
    """Jobs of the tenant with their tasks."""

    async def add(self, job: Job, job_tasks: Sequence[dict[str, Any]]) -> None:
        """A job and its tasks, each waiting for the dispatcher."""
        values = {name: getattr(job, name) for name in job.__dataclass_fields__}
        await self._session.execute(insert(backup_jobs).values(tenant_id=self._uow.tenant_id, **values))
        for task in job_tasks:
            await TaskRepository(self._uow).add(job_id=job.id, **task)

    async def get(self, job_id: UUID, kind: str) -> tuple[Job, list[Task]]:
        row = (
            (await self._session.execute(select(backup_jobs).where(self._mine(backup_jobs, id=job_id, kind=kind))))
            .mappings()
            .one_or_none()
        )
        if row is None:
            raise JobNotFound
        return build(Job, row), (await self.tasks_of([job_id])).get(job_id, [])

    async def page(self, kind: str, after: UUID | None, size: int) -> list[tuple[Job, list[Task]]]:
        """Newest first."""
        query = (
            select(backup_jobs).where(self._mine(backup_jobs, kind=kind)).order_by(backup_jobs.c.id.desc()).limit(size)
        )
        if after is not None:
            query = query.where(backup_jobs.c.id < after)
        rows = (await self._session.execute(query)).mappings().all()
        found = await self.tasks_of([row["id"] for row in rows])
        return [(build(Job, row), found.get(row["id"], [])) for row in rows]

    async def tasks_of(self, job_ids: Sequence[UUID]) -> dict[UUID, list[Task]]:
        found: dict[UUID, list[Task]] = {}
        query = select(tasks).where(self._mine(tasks), tasks.c.job_id.in_(job_ids)).order_by(tasks.c.id)
        for row in (await self._session.execute(query)).mappings():
            found.setdefault(row["job_id"], []).append(_task(row))
        return found


class TaskRepository(Repository):
    """Single tasks: the lease, the fence and the moves between states."""

    async def add(self, **values: Any) -> None:
        """Insert a task that waits for the dispatcher; whoever executes it goes on in the trace of who asked."""
        params = {**values.pop("params", {}), "trace": carried()}
        await self._session.execute(
            insert(tasks).values(
                tenant_id=self._uow.tenant_id,
                status=str(TaskStatus.WAITING),
                created_at=func.clock_timestamp(),
                params=params,
                **values,
            )
        )

    async def find(self, task_id: UUID, *, lock: bool = False) -> Task | None:
        query = select(tasks).where(self._mine(tasks, id=task_id))
        row = (await self._session.execute(query.with_for_update() if lock else query)).mappings().one_or_none()
        return None if row is None else _task(row)

    async def lock_of_job(self, job_id: UUID) -> list[Task]:
        query = select(tasks).where(self._mine(tasks, job_id=job_id)).order_by(tasks.c.id).with_for_update()
        return [_task(row) for row in (await self._session.execute(query)).mappings()]

    async def move(self, task_id: UUID, target: TaskStatus, **values: Any) -> bool:
        """Compare-and-set into ``target`` from any state that may go there; False when it was in another."""
        ended = {"finished_at": func.clock_timestamp(), "lease_until": None} if target in ENDED else {}
        left = {} if target is TaskStatus.READY else {"publish_at": None}
        statement = (
            update(tasks)
            .where(self._mine(tasks, id=task_id), tasks.c.status.in_([str(source) for source in before(target)]))
            .values(status=str(target), **ended, **left, **values)
        )
        return await self._uow.count_changed(statement) == 1

    async def claim(
        self, task: Task, runner: str, lease: timedelta, *, epoch: int, parent_point_id: UUID | None
    ) -> None:
        """Begin the next attempt of a task that the caller has locked while ready; its token is one higher."""
        await self.move(
            task.id,
            TaskStatus.RUNNING,
            token=task.token + 1,
            attempts=task.attempts + 1,
            runner=runner,
            lease_until=func.clock_timestamp() + lease,
            started_at=func.coalesce(tasks.c.started_at, func.clock_timestamp()),
            # The first attempt's stays: what it stored is younger, and the next one shall find it.
            used_epoch=func.coalesce(tasks.c.used_epoch, epoch),
            parent_point_id=parent_point_id,
            bytes_stored_before=task.bytes_stored,
            bytes_read=0,
            bytes_skipped=0,
            bytes_new=0,
            phase="starting",
        )

    async def prolong(self, task_id: UUID, lease: timedelta, **values: Any) -> None:
        """Let the lease run anew from now, by the database's clock."""
        await self.change(task_id, lease_until=func.clock_timestamp() + lease, **values)

    async def held(self, task_id: UUID, token: int, *states: TaskStatus) -> Task:
        """The task, locked, if ``token`` is its current one, its lease runs and it is in one of ``states``.

        Raises:
            StaleToken: another attempt took over, the lease is over, or the task ended.
        """
        query = (
            select(tasks)
            .where(
                self._mine(tasks, id=task_id),
                tasks.c.token == token,
                tasks.c.status.in_([str(state) for state in states or HELD]),
                tasks.c.lease_until > func.clock_timestamp(),
            )
            .with_for_update()
        )
        row = (await self._session.execute(query)).mappings().one_or_none()
        if row is None:
            raise StaleToken
        return _task(row)

    async def current(self, task_id: UUID, token: int) -> Task:
        """The task if ``token`` is its current one and its lease runs, without a lock: for calls made in numbers.

        Raises:
            StaleToken: as `held`.
        """
        query = select(tasks).where(
            self._mine(tasks, id=task_id, token=token),
            tasks.c.status.in_([str(state) for state in HELD]),
            tasks.c.lease_until > func.clock_timestamp(),
        )
        row = (await self._session.execute(query)).mappings().one_or_none()
        if row is None:
            raise StaleToken
        return _task(row)

    async def change(self, task_id: UUID, **values: Any) -> None:
        await self._session.execute(update(tasks).where(self._mine(tasks, id=task_id)).values(values))

    async def failed_bytes(self) -> int:
        """Stored bytes of failed and cancelled tasks, which the quota's second limit counts until collected."""
        same = (collections.c.tenant_id == tasks.c.tenant_id) & (collections.c.vault_id == tasks.c.vault_id)
        until = collections.c.collected_until
        total = await self._session.scalar(
            select(func.coalesce(func.sum(tasks.c.bytes_stored), 0))
            .outerjoin(collections, same)
            .where(
                self._mine(tasks, kind=str(TaskKind.BACKUP)),
                tasks.c.status.in_([str(TaskStatus.FAILED), str(TaskStatus.CANCELLED)]),
                until.is_(None) | (tasks.c.finished_at >= until),
            )
        )
        return int(total or 0)


def _task(row: Any) -> Task:
    return build(Task, row, kind=TaskKind(row["kind"]), status=TaskStatus(row["status"]))
