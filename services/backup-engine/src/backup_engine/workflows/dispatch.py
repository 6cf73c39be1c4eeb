"""The dispatcher's acts: admit waiting tasks, publish ready ones, take back tasks whose runner is gone.

One process leads (a lease row); each act may be cut off anywhere and simply comes again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from common.messaging import Broker, BrokerUnavailable
from common.persistence import Store

from backup_engine.domain.admission import Limits, admit
from backup_engine.domain.job import HELD
from backup_engine.domain.lease import PAUSES
from backup_engine.persistence.queue import (
    due_messages,
    expired_leases,
    make_ready,
    published,
    vaults_to_prepare,
    waiting_and_taken,
)
from backup_engine.persistence.unit_of_work import UnitOfWork
from backup_engine.ports.vault import BlobStore, Kms
from backup_engine.usecases.end_attempt import lose_lease
from backup_engine.workflows.prepare_vault import prepare_vault

log = logging.getLogger(__name__)

TASK_QUEUE = "tasks.{site}"


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """Composes the acts; the worker runs `turn` every second and `prepare_vaults` beside it."""

    store: Store[UnitOfWork]
    broker: Broker
    limits: Limits = field(default_factory=Limits)
    pauses: Sequence[timedelta] = PAUSES

    async def turn(self) -> None:
        """Take back, admit, publish; in this order, so that a place freed is a place filled."""
        await self.take_back()
        await self.admit()
        await self.publish()

    async def take_back(self) -> int:
        """Make tasks of dead runners waiting again, each in its tenant's own transaction."""
        async with self.store.for_system("dispatcher") as uow:
            expired = await expired_leases(uow)
        for tenant_id, task_id in expired:
            try:
                await self._take_back(tenant_id, task_id)
            except Exception:
                # One task that cannot be taken back keeps no other waiting; it comes again with the next turn.
                log.exception("task %s could not be taken back", task_id)
        return len(expired)

    async def _take_back(self, tenant_id: UUID, task_id: UUID) -> None:
        async with self.store.for_tenant(tenant_id) as uow:
            task = await uow.tasks.find(task_id, lock=True)
            now = await uow.database_now()
            if task and task.status in HELD and task.lease_until is not None and task.lease_until < now:
                log.warning("task %s lost its runner (attempt token %s)", task_id, task.token)
                await lose_lease(uow, task, self.pauses)

    async def admit(self) -> int:
        async with self.store.for_system("dispatcher") as uow:
            waiting, taken = await waiting_and_taken(uow)
            return await make_ready(uow, admit(waiting, taken, self.limits)) if waiting else 0

    async def publish(self) -> int:
        """Send the messages that are due; what the broker did not take stays due."""
        async with self.store.for_system("dispatcher") as uow:
            due = await due_messages(uow)
        sent = []
        for one in due:
            try:
                await self.broker.send_task(TASK_QUEUE.format(site=one.queue), str(one.task_id))
            except BrokerUnavailable:
                log.warning("task %s stays to be published: the broker is away", one.task_id)
                break
            sent.append(one)
        async with self.store.for_system("dispatcher") as uow:
            await published(uow, sent)
        return len(sent)


@dataclass(frozen=True, slots=True)
class VaultMaker:
    """Writes the objects of vaults whose rows an organization's provisioning made."""

    store: Store[UnitOfWork]
    blobs: BlobStore
    kms: Kms

    async def turn(self) -> None:
        async with self.store.for_system("dispatcher") as uow:
            tenants = await vaults_to_prepare(uow)
        for tenant_id in tenants:
            try:
                await prepare_vault(self.store, self.blobs, self.kms, tenant_id)
            except Exception:
                # An organization whose vault cannot be made keeps no other waiting.
                log.exception("the vault of %s could not be made", tenant_id)
