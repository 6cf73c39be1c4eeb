"""The control plane for runners that reach the database themselves: each call is one transaction of a tenant."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from common.errors import Unavailable
from common.persistence import Store

from backup_engine.domain.job import TaskStatus
from backup_engine.domain.lease import LEASE, PAUSES
from backup_engine.domain.problem import Problem
from backup_engine.domain.snapshot import SnapshotName
from backup_engine.persistence.queue import tenant_of_ready
from backup_engine.persistence.unit_of_work import UnitOfWork
from backup_engine.ports.control_plane import Claim, Grant, HostAccess, PointDraft, Progress, Renewal
from backup_engine.ports.hypervisor_values import VirtualMachine
from backup_engine.ports.secrets import SecretBox
from backup_engine.ports.vault import StoredObject
from backup_engine.usecases.begin_attempt import begin_attempt
from backup_engine.usecases.commit_point import commit_point, complete_restore, prepare_point
from backup_engine.usecases.connect_server import target_of
from backup_engine.usecases.end_attempt import fail_attempt, hand_back
from backup_engine.usecases.renew_lease import renew_lease
from backup_engine.usecases.snapshot_ledger import end_removal, intend_snapshot, note_created, note_removal


class SqlControlPlane:
    """ControlPlane port over SQL.

    Args:
        store: the service's doors.
        box: opens the hosts' passwords.
        deployment_id: part of our snapshots' names.
        pauses: rests between attempts.
        lease: how long a claim holds without renewal.
    """

    def __init__(
        self,
        store: Store[UnitOfWork],
        box: SecretBox,
        deployment_id: str,
        pauses: Sequence[timedelta] = PAUSES,
        lease: timedelta = LEASE,
    ) -> None:
        self._store = store
        self._box = box
        self._deployment_id = deployment_id
        self._pauses = tuple(pauses)
        self._lease = lease

    async def claim(self, task_id: UUID, queue: str, runner: str) -> Claim | None:
        async with self._store.for_system("runner") as uow:
            tenant_id = await tenant_of_ready(uow, task_id, queue)
        if tenant_id is None:
            return None
        try:
            async with self._store.for_tenant(tenant_id) as uow:
                return await begin_attempt(uow, task_id, runner, self._deployment_id, self._lease)
        except Unavailable:
            # The vault's keys are still being written: the dispatcher publishes the task again.
            return None

    async def renew(self, grant: Grant, progress: Progress) -> Renewal:
        async with self._store.for_tenant(grant.tenant_id) as uow:
            return await renew_lease(uow, grant, progress)

    async def host_access(self, grant: Grant, server_id: UUID) -> HostAccess:
        async with self._store.for_tenant(grant.tenant_id) as uow:
            await uow.tasks.held(grant.task_id, grant.token)
            target = await target_of(uow, self._box, server_id)
        endpoint, account = target.endpoint, target.credentials
        return HostAccess(endpoint.host, endpoint.port, endpoint.thumbprint, account.username, account.password)

    async def known_chunks(self, grant: Grant, ids: Sequence[bytes]) -> dict[bytes, int]:
        async with self._store.for_tenant(grant.tenant_id) as uow:
            task = await uow.tasks.current(grant.task_id, grant.token)
            return await uow.chunks.known(task.vault_id, ids)

    async def stored_chunks(self, grant: Grant, objects: Sequence[StoredObject]) -> set[tuple[bytes, int]]:
        async with self._store.for_tenant(grant.tenant_id) as uow:
            task = await uow.tasks.current(grant.task_id, grant.token)
            return await uow.chunks.stored(task.vault_id, objects)

    async def live_generations(self, grant: Grant, ids: Sequence[bytes]) -> dict[bytes, int]:
        async with self._store.for_tenant(grant.tenant_id) as uow:
            task = await uow.tasks.current(grant.task_id, grant.token)
            return await uow.chunks.live(task.vault_id, ids)

    async def intend_snapshot(self, grant: Grant, name: str) -> None:
        parsed = SnapshotName.parse(name)
        assert parsed is not None
        async with self._store.for_tenant(grant.tenant_id) as uow:
            await intend_snapshot(uow, grant, parsed)

    async def snapshot_created(self, grant: Grant, moref: str) -> None:
        async with self._store.for_tenant(grant.tenant_id) as uow:
            await note_created(uow, grant, moref)

    async def removal_sent(self, grant: Grant, host_task: str | None) -> None:
        async with self._store.for_tenant(grant.tenant_id) as uow:
            await note_removal(uow, grant, host_task)

    async def snapshot_removed(self, grant: Grant, warnings: Sequence[Problem]) -> None:
        async with self._store.for_tenant(grant.tenant_id) as uow:
            await end_removal(uow, grant, warnings)

    async def prepare(self, grant: Grant, draft: PointDraft | None) -> None:
        async with self._store.for_tenant(grant.tenant_id) as uow:
            await prepare_point(uow, grant, draft)

    async def commit(self, grant: Grant, *, adopt: int | None = None) -> None:
        async with self._store.for_tenant(grant.tenant_id) as uow:
            await commit_point(uow, grant, adopt=adopt)

    async def restored(
        self,
        grant: Grant,
        progress: Progress,
        result: dict[str, Any],
        warnings: Sequence[Problem],
        machine: VirtualMachine | None = None,
    ) -> None:
        async with self._store.for_tenant(grant.tenant_id) as uow:
            await complete_restore(uow, grant, progress, result, warnings, machine)

    async def fail(self, grant: Grant, problem: Problem, *, retry: bool) -> None:
        async with self._store.for_tenant(grant.tenant_id) as uow:
            task = await uow.tasks.held(grant.task_id, grant.token)
            await fail_attempt(uow, task, problem, retry=retry, pauses=self._pauses)

    async def hand_back(self, grant: Grant) -> None:
        async with self._store.for_tenant(grant.tenant_id) as uow:
            await hand_back(
                uow, await uow.tasks.held(grant.task_id, grant.token, TaskStatus.RUNNING, TaskStatus.COMMITTING)
            )
