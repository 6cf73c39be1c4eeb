"""Every quarter of an hour: no snapshot of ours stays on a host longer than somebody needs it.

Two directions: ledger rows whose attempt is over and that nobody removes, and snapshots on the hosts that bear this
deployment's name and that the ledger takes for gone or never knew.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from common.errors import DomainError
from common.persistence import Store

from backup_engine.domain.job import ENDED, HELD, TaskStatus
from backup_engine.domain.lease import LEASE, SNAPSHOT_GRACE
from backup_engine.domain.problem import problem_of
from backup_engine.domain.snapshot import SnapshotName
from backup_engine.errors import UnknownSnapshot
from backup_engine.persistence.ledger import LedgerRow
from backup_engine.persistence.queue import active_servers, open_ledger
from backup_engine.persistence.unit_of_work import UnitOfWork
from backup_engine.ports.hypervisor import HypervisorConnector
from backup_engine.ports.secrets import SecretBox
from backup_engine.usecases.connect_server import connected, target_of
from backup_engine.usecases.remove_snapshots import queue_removal

log = logging.getLogger(__name__)

UNKNOWN_KEPT = timedelta(hours=24)
"""A snapshot with our name that no ledger knows may belong to a database that is being restored."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A snapshot of this deployment, as a host shows it."""

    vm_moid: str
    moref: str
    name: SnapshotName


@dataclass(frozen=True, slots=True)
class SnapshotReconciler:
    """Composes the two directions; the worker runs `turn` under a leader's lease."""

    store: Store[UnitOfWork]
    connector: HypervisorConnector
    box: SecretBox
    deployment_id: str
    lease: timedelta = LEASE

    async def turn(self) -> None:
        await self.sweep_ledger()
        await self.sweep_hosts()

    async def sweep_ledger(self) -> int:
        """Queue removals that got lost; returns how many."""
        async with self.store.for_system("reconciler") as uow:
            rows = await open_ledger(uow, self.lease + SNAPSHOT_GRACE)
        queued = 0
        for tenant_id, row_id in rows:
            async with self.store.for_tenant(tenant_id) as uow:
                queued += await requeue_if_forgotten(uow, row_id)
        return queued

    async def sweep_hosts(self) -> None:
        async with self.store.for_system("reconciler") as uow:
            servers = await active_servers(uow)
        for tenant_id, server_id in servers:
            try:
                await self._sweep_host(tenant_id, server_id)
            except DomainError as error:
                log.info("server %s was not looked at: %s", server_id, error)
            except Exception:
                # One host that answers what nobody foresaw keeps no other from being swept.
                log.exception("server %s was not swept", server_id)

    async def _sweep_host(self, tenant_id: UUID, server_id: UUID) -> None:
        sightings = await self._look(tenant_id, server_id)
        async with self.store.for_tenant(tenant_id) as uow:
            for sighting in sightings:
                await settle_sighting(uow, server_id, sighting)

    async def _look(self, tenant_id: UUID, server_id: UUID) -> list[Sighting]:
        async with self.store.for_tenant(tenant_id) as uow:
            target = await target_of(uow, self.box, server_id)
        async with connected(self.connector, target) as host:
            machines = (await host.inventory()).virtual_machines
        found = []
        for machine in machines:
            for snapshot in machine.snapshots:
                name = SnapshotName.parse(snapshot.name)
                if name is not None and name.deployment_id == self.deployment_id:
                    found.append(Sighting(machine.moid, snapshot.moref, name))
        return found


async def requeue_if_forgotten(uow: UnitOfWork, row_id: UUID) -> bool:
    """Queue the row's removal unless its attempt still runs or a removal is under way."""
    row = await uow.ledger.get(row_id)
    owner = await uow.tasks.find(row.task_id, lock=True)
    if row.state == "removed" or (owner and owner.status in HELD and owner.token == row.token):
        return False
    if row.removal_task_id is not None:
        removal = await uow.tasks.find(row.removal_task_id)
        if removal is not None and (removal.status not in ENDED or removal.status is TaskStatus.COMPLETED):
            return False
    await _queue(uow, row)
    return True


async def settle_sighting(uow: UnitOfWork, server_id: UUID, sighting: Sighting) -> None:
    """A snapshot that the ledger takes for gone is removed again; one that it never knew waits 24 hours."""
    row = (await uow.ledger.by_names([str(sighting.name)])).get(str(sighting.name))
    if row is not None:
        if row.state == "removed":
            log.warning("snapshot %s is there although it was removed", sighting.name)
            await uow.ledger.change(row.id, state="created", moref=sighting.moref, host_task=None)
            await _queue(uow, row)
        return
    vm_id = await uow.machines.by_moid(server_id, sighting.vm_moid)
    if vm_id is None:
        return
    problem = problem_of(UnknownSnapshot(name=str(sighting.name)))
    log.error("snapshot %s is in no ledger", sighting.name)
    await uow.audit("snapshot.unknown", str(sighting.name), actor="reconciler", details=dict(problem))
    await uow.ledger.intend(sighting.name, server_id, vm_id, sighting.vm_moid)
    await uow.ledger.created(sighting.name.task_id, sighting.name.token, sighting.moref)
    made = (await uow.ledger.by_names([str(sighting.name)]))[str(sighting.name)]
    vault = await uow.vaults.default()
    await queue_removal(uow, made, vault.id, vault.site_id, await uow.database_now() + UNKNOWN_KEPT)


async def _queue(uow: UnitOfWork, row: LedgerRow) -> None:
    vault = await uow.vaults.default()
    await queue_removal(uow, row, vault.id, vault.site_id)
