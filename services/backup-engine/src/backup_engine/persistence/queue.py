"""What the dispatcher, runners, the reconciler and the collector see across tenants; each under its own role."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, and_, func, or_, select, tuple_, update

from backup_engine.domain.admission import Candidate
from backup_engine.domain.collection import Phase
from backup_engine.domain.job import ADMITTED, HELD, TaskKind, TaskStatus
from backup_engine.domain.lease import REPUBLISH_AFTER
from backup_engine.domain.tenant import TenantStatus
from backup_engine.domain.vault import VaultState
from backup_engine.persistence.tables import collections, esxi_servers, snapshot_ledger, tasks, tenant_state, vaults
from backup_engine.persistence.unit_of_work import UnitOfWork

WINDOW = 5000
"""Waiting tasks looked at in one pass: more than any deployment admits at once."""


@dataclass(frozen=True, slots=True)
class Due:
    """A ready task whose message is due."""

    tenant_id: UUID
    task_id: UUID
    queue: str


async def usage_unreconciled(uow: UnitOfWork, before: datetime, limit: int) -> list[UUID]:
    """Organizations whose counters were not compared since ``before``, the longest waiting first. Role: reconciler."""
    rows = await uow.session.scalars(
        select(tenant_state.c.tenant_id)
        .where(
            tenant_state.c.status != str(TenantStatus.DELETED),
            or_(tenant_state.c.usage_reconciled_at.is_(None), tenant_state.c.usage_reconciled_at <= before),
        )
        .order_by(tenant_state.c.usage_reconciled_at.nulls_first(), tenant_state.c.tenant_id)
        .limit(limit)
    )
    return [UUID(str(row)) for row in rows]


async def tenant_of_ready(uow: UnitOfWork, task_id: UUID, queue: str) -> UUID | None:
    """Whose the ready task of this queue is; None when it is not ready, or another site's. Role: runner."""
    found = await uow.session.scalar(
        select(tasks.c.tenant_id).where(
            tasks.c.id == task_id, tasks.c.queue == queue, tasks.c.status == str(TaskStatus.READY)
        )
    )
    return None if found is None else UUID(str(found))


async def waiting_and_taken(uow: UnitOfWork) -> tuple[list[Candidate], list[Candidate]]:
    """Tasks that may be admitted now, oldest first, and those that hold a place. Role: dispatcher.

    Backups wait while their organization is not active or their vault read-only; removals and restores do not.
    Removals come first: a snapshot grows for as long as it stays.
    """
    removal_first = tasks.c.kind != str(TaskKind.REMOVE_SNAPSHOT)
    columns = (tasks.c.tenant_id, tasks.c.id, tasks.c.server_id, tasks.c.datastore, tasks.c.vm_id, tasks.c.kind)
    allowed = or_(
        tasks.c.kind != str(TaskKind.BACKUP),
        select(tenant_state.c.tenant_id)
        .where(tenant_state.c.tenant_id == tasks.c.tenant_id, tenant_state.c.status == "active")
        .exists(),
    )
    has_vault = (
        select(vaults.c.id)
        .where(
            vaults.c.tenant_id == tasks.c.tenant_id,
            vaults.c.id == tasks.c.vault_id,
            or_(
                vaults.c.state == VaultState.READY,
                and_(vaults.c.state == VaultState.READ_ONLY, tasks.c.kind != str(TaskKind.BACKUP)),
            ),
        )
        .exists()
    )
    waiting = await uow.session.execute(
        select(*columns)
        .where(
            tasks.c.status == str(TaskStatus.WAITING),
            or_(tasks.c.not_before.is_(None), tasks.c.not_before <= func.clock_timestamp()),
            allowed,
            has_vault,
        )
        .order_by(removal_first, tasks.c.created_at, tasks.c.id)
        .limit(WINDOW)
    )
    taken = await uow.session.execute(select(*columns).where(tasks.c.status.in_([str(status) for status in ADMITTED])))
    return [_candidate(row) for row in waiting], [_candidate(row) for row in taken]


def _candidate(row: Row[*tuple[Any, ...]]) -> Candidate:
    # A restore writes elsewhere than to the machine that its point is of: it keeps no backup of it waiting.
    vm_id = None if row.kind == str(TaskKind.RESTORE) else row.vm_id
    return Candidate(row.tenant_id, row.id, row.server_id, row.datastore, vm_id)


async def make_ready(uow: UnitOfWork, chosen: Sequence[Candidate]) -> int:
    """Waiting → ready: only this makes a message due. Role: dispatcher."""
    if not chosen:
        return 0
    return await uow.count_changed(
        update(tasks)
        .where(
            tuple_(tasks.c.tenant_id, tasks.c.id).in_([(one.tenant_id, one.task_id) for one in chosen]),
            tasks.c.status == str(TaskStatus.WAITING),
        )
        .values(status=str(TaskStatus.READY), ready_at=func.clock_timestamp(), publish_at=func.clock_timestamp())
    )


async def due_messages(uow: UnitOfWork) -> list[Due]:
    """Ready tasks to be published, for the first time or because nobody claimed them for 5 minutes."""
    rows = await uow.session.execute(
        select(tasks.c.tenant_id, tasks.c.id, tasks.c.queue)
        .where(tasks.c.status == str(TaskStatus.READY), tasks.c.publish_at <= func.clock_timestamp())
        .order_by(tasks.c.publish_at, tasks.c.id)
        .limit(WINDOW)
    )
    return [Due(row.tenant_id, row.id, row.queue) for row in rows]


async def published(uow: UnitOfWork, sent: Sequence[Due], again_after: timedelta = REPUBLISH_AFTER) -> None:
    """Note that the messages went out; a crash before this sends them twice, which a claim survives."""
    if sent:
        await uow.session.execute(
            update(tasks)
            .where(
                tuple_(tasks.c.tenant_id, tasks.c.id).in_([(one.tenant_id, one.task_id) for one in sent]),
                tasks.c.status == str(TaskStatus.READY),
            )
            .values(publish_at=func.clock_timestamp() + again_after)
        )


async def expired_leases(uow: UnitOfWork) -> list[tuple[UUID, UUID]]:
    """(tenant, task) whose lease is over by the database's clock. Role: dispatcher."""
    rows = await uow.session.execute(
        select(tasks.c.tenant_id, tasks.c.id).where(
            tasks.c.status.in_([str(status) for status in HELD]), tasks.c.lease_until < func.clock_timestamp()
        )
    )
    return [(row.tenant_id, row.id) for row in rows]


async def vaults_to_prepare(uow: UnitOfWork) -> list[UUID]:
    """Tenants with a vault whose objects are not written. Role: dispatcher."""
    rows = await uow.session.scalars(
        select(vaults.c.tenant_id).where(vaults.c.state == VaultState.PREPARING).distinct()
    )
    return [UUID(str(row)) for row in rows]


async def open_ledger(uow: UnitOfWork, older_than: timedelta) -> list[tuple[UUID, UUID]]:
    """(tenant, ledger row) of snapshots that were intended long ago and are not removed. Role: reconciler."""
    rows = await uow.session.execute(
        select(snapshot_ledger.c.tenant_id, snapshot_ledger.c.id).where(
            and_(
                snapshot_ledger.c.state != "removed",
                snapshot_ledger.c.intended_at < func.clock_timestamp() - older_than,
            )
        )
    )
    return [(row.tenant_id, row.id) for row in rows]


async def active_servers(uow: UnitOfWork) -> list[tuple[UUID, UUID]]:
    """(tenant, server) of every active server. Role: reconciler."""
    rows = await uow.session.execute(
        select(esxi_servers.c.tenant_id, esxi_servers.c.id).where(esxi_servers.c.is_active)
    )
    return [(row.tenant_id, row.id) for row in rows]


@dataclass(frozen=True, slots=True)
class VaultRef:
    """A vault by its key."""

    tenant_id: UUID
    vault_id: UUID


_CYCLE = (collections.c.tenant_id == vaults.c.tenant_id) & (collections.c.vault_id == vaults.c.id)
_NOW = func.clock_timestamp()
_AGE = _NOW - func.coalesce(collections.c.finished_at, vaults.c.ready_at, _NOW)
"""Since the vault's garbage was last collected to the end, or since it is ready."""


async def vaults_to_collect(uow: UnitOfWork, every: timedelta) -> list[VaultRef]:
    """Vaults whose cycle is due or under way, and in nobody's hands; longest not collected first. Role: collector."""
    due = or_(func.coalesce(collections.c.phase, Phase.FINISHED) != Phase.FINISHED, every <= _AGE)
    free = or_(collections.c.held_until.is_(None), collections.c.held_until <= _NOW)
    rows = await uow.session.execute(
        select(vaults.c.tenant_id, vaults.c.id)
        .outerjoin(collections, _CYCLE)
        .where(vaults.c.state == VaultState.READY, due, free)
        .order_by(_AGE.desc(), vaults.c.id)
    )
    return [VaultRef(row.tenant_id, row.id) for row in rows]


async def collection_backlog(uow: UnitOfWork) -> tuple[timedelta, int]:
    """How long ago the vault was collected where that is longest ago, and how many are read-only. Role: collector."""
    row = (
        await uow.session.execute(
            select(
                func.coalesce(func.max(_AGE), timedelta()),
                func.count().filter(vaults.c.state == VaultState.READ_ONLY),
            )
            .select_from(vaults.outerjoin(collections, _CYCLE))
            .where(vaults.c.state != VaultState.PREPARING)
        )
    ).one()
    return row[0], row[1]


async def made_vault(uow: UnitOfWork, vault_id: UUID) -> tuple[VaultRef, VaultState] | None:
    """The vault with this id and its state, once it has been made. Role: collector."""
    found = select(vaults.c.tenant_id, vaults.c.state).where(vaults.c.id == vault_id)
    row = (await uow.session.execute(found.where(vaults.c.state != VaultState.PREPARING))).one_or_none()
    return None if row is None else (VaultRef(row.tenant_id, vault_id), VaultState(row.state))
