"""Garbage collection as a timer: which vault is due, for how long, and what a cycle that cannot go on means.

Every worker runs it: the lease on a vault's cycle, and no leader, keeps two from collecting the same vault (ADR 0006).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from common.crash_points import reach
from common.errors import DomainError
from common.parts import HOLDER
from common.persistence import Store
from common.telemetry.context import span
from prometheus_client import Counter, Gauge, Histogram

from backup_engine.domain.collection import Step
from backup_engine.domain.vault import VaultState
from backup_engine.persistence.queue import VaultRef, collection_backlog, vaults_to_collect
from backup_engine.persistence.unit_of_work import UnitOfWork
from backup_engine.ports.vault import BlobStore, Kms
from backup_engine.vault.codec import Codec
from backup_engine.vault.collector import Collector
from backup_engine.vault.errors import CatalogueBehind
from backup_engine.vault.fenced import FencedStore
from backup_engine.vault.lifecycle import open_stored_keyring, require_vault
from backup_engine.vault.retrying import RetryingStore
from backup_engine.workflows.leased_collection import LeasedCollection

log = logging.getLogger(__name__)

OBJECTS = Counter("vault_collected_objects_total", "Objects that garbage collection deleted")
BYTES = Counter("vault_collected_bytes_total", "Stored bytes that garbage collection deleted")
SECONDS = Histogram(
    "vault_collection_seconds",
    "From a cycle's begin to its end, pauses included",
    buckets=(1, 10, 60, 600, 3600, 36000),
)
AGE = Gauge("vault_collection_age_seconds", "Since the end of the last cycle, of the vault where that is longest ago")
READ_ONLY = Gauge("vaults_read_only", "Vaults that hold what the database does not know of")


@dataclass(frozen=True, slots=True)
class GarbageCollector:
    """Begins a cycle of each vault every so often and goes on with those that were cut off."""

    store: Store[UnitOfWork]
    blobs: BlobStore
    kms: Kms
    every: timedelta
    budget: timedelta
    """For all vaults of one turn; what is not done then goes on with the next."""
    holder: str = HOLDER

    async def turn(self) -> None:
        async with self.store.for_system("collector") as uow:
            age, read_only = await collection_backlog(uow)
            due = await vaults_to_collect(uow, self.every)
        AGE.set(age.total_seconds())
        READ_ONLY.set(read_only)
        until = time.monotonic() + self.budget.total_seconds()
        for vault in due:
            if time.monotonic() >= until:
                return
            await self._try(vault, lambda: time.monotonic() < until)

    async def _try(self, vault: VaultRef, go_on: Callable[[], bool]) -> None:
        with span("vault.collect", fields={"tenant_id": str(vault.tenant_id), "vault_id": str(vault.vault_id)}):
            try:
                await self.collect(vault.tenant_id, vault.vault_id, go_on)
            except DomainError as error:
                log.error("vault %s was not collected: %s", vault.vault_id, error)  # noqa: TRY400  # a fact, no bug
            except Exception:
                # One vault that cannot be collected keeps no other from it.
                log.exception("vault %s was not collected", vault.vault_id)

    async def collect(self, tenant_id: UUID, vault_id: UUID, go_on: Callable[[], bool] = lambda: True) -> bool:
        """Go on with the vault's cycle, or begin one; whether it came to its end.

        Raises:
            CatalogueBehind: the database is older than the vault, which is read-only from now on.
            ChunkDamaged: a map cannot be read; nothing is deleted before it can, or its points are gone.
            VaultMissing, KeyringUnreadable, StaleToken, and the store's errors.
        """
        collection = LeasedCollection(self.store, tenant_id, vault_id, self.holder)
        if not await collection.take():
            return False
        try:
            return await self._steps(collection, go_on)
        except CatalogueBehind:
            async with self.store.for_tenant(tenant_id) as uow:
                await uow.vaults.set_state(vault_id, VaultState.READ_ONLY, only_from=VaultState.READY)
            raise
        finally:
            await collection.release()

    async def _steps(self, collection: LeasedCollection, go_on: Callable[[], bool]) -> bool:
        async with self.store.for_tenant(collection.tenant_id) as uow:
            sealed = await uow.vaults.sealed_keyring(collection.vault_id)
        blobs = RetryingStore(FencedStore(self.blobs, collection.fence))
        await require_vault(blobs, collection.vault_id)
        codec = Codec(await open_stored_keyring(self.kms, collection.vault_id, sealed))
        with ThreadPoolExecutor(1, "collector") as executor:
            collector = Collector(blobs, collection, codec, executor, now=self.store.clock.now)
            async with aclosing(collector.steps()) as steps:
                async for step in steps:
                    reach(f"backup-engine.gc.{step}")
                    if step is Step.FINISHED:
                        await self._tell(collection)
                        return True
                    if step is not Step.OBJECT_DELETED and not go_on():
                        return False
        return False

    async def _tell(self, collection: LeasedCollection) -> None:
        async with self.store.for_tenant(collection.tenant_id) as uow:
            objects, size_bytes, seconds = await uow.collections.totals(collection.vault_id)
        OBJECTS.inc(objects)
        BYTES.inc(size_bytes)
        SECONDS.observe(seconds)
        log.info("vault %s collected: %d objects, %d bytes", collection.vault_id, objects, size_bytes)
