"""Open restore points for reading: manifest, keys and maps from the vault, generations from the catalogue.

A point that is being read is pinned: it may be deleted meanwhile, and the reader ends with every byte (D78).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from common.persistence import Store

from backup_engine.domain.lease import LEASE
from backup_engine.persistence.unit_of_work import UnitOfWork
from backup_engine.ports.vault import BlobStore, Kms
from backup_engine.vault.lifecycle import open_stored_keyring
from backup_engine.vault.manifest import load_manifest
from backup_engine.vault.reader import PointReader

log = logging.getLogger(__name__)

PIECE = 4 * 1024 * 1024
"""Bytes per piece of a download: a chunk, so that each is opened once."""


@dataclass(frozen=True, slots=True)
class CatalogueGenerations:
    """Which generation of an object to read, from the catalogue of one vault."""

    store: Store[UnitOfWork]
    tenant_id: UUID
    vault_id: UUID

    async def live_generations(self, ids: Sequence[bytes]) -> dict[bytes, int]:
        async with self.store.for_tenant(self.tenant_id) as uow:
            return await uow.chunks.live(self.vault_id, ids)


@dataclass(frozen=True, slots=True)
class OpenPoint:
    """A point that is pinned and can be read; the pin is over by itself unless `PointReaders.raw` renews it."""

    reader: PointReader
    tenant_id: UUID
    pin_id: UUID


@dataclass(frozen=True, slots=True)
class PointReaders:
    """Makes readers of points. Reading never happens inside a transaction."""

    store: Store[UnitOfWork]
    blobs: BlobStore
    kms: Kms

    async def open(self, tenant_id: UUID, vault_id: UUID, point_id: UUID, token: int) -> OpenPoint:
        """Raises RestorePointNotFound, PointMissing, KeyringUnreadable, and the store's errors."""
        async with self.store.for_tenant(tenant_id) as uow:
            pin_id = await uow.pins.hold(point_id, LEASE)
            sealed = await uow.vaults.sealed_keyring(vault_id)
        keyring = await open_stored_keyring(self.kms, vault_id, sealed)
        manifest = await load_manifest(self.blobs, keyring, point_id, token)
        generations = CatalogueGenerations(self.store, tenant_id, vault_id)
        return OpenPoint(PointReader(self.blobs, keyring, manifest, generations=generations), tenant_id, pin_id)

    async def raw(self, point: OpenPoint, disk_key: int, start: int, length: int) -> AsyncGenerator[bytes, None]:
        """The disk's bytes from ``start``, aligned to chunks after the first piece; closes the reader at the end."""
        async with point.reader, self._pinned(point):
            position, end = start, start + length
            while position < end:
                piece = min(end - position, PIECE - position % PIECE)
                yield await point.reader.read(disk_key, position, piece)
                position += piece

    @asynccontextmanager
    async def _pinned(self, point: OpenPoint) -> AsyncIterator[None]:
        """Renew the pin beside the reading: whoever takes the bytes may pause longer than a lease."""
        renewing = asyncio.create_task(self._renew(point), name=f"pin {point.pin_id}")
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
            async with self.store.for_tenant(point.tenant_id) as uow:
                await uow.pins.release(point.pin_id)

    async def _renew(self, point: OpenPoint) -> None:
        while True:
            await asyncio.sleep(LEASE.total_seconds() / 3)
            try:
                async with self.store.for_tenant(point.tenant_id) as uow:
                    await uow.pins.renew(point.pin_id, LEASE)
            except Exception as error:  # noqa: BLE001  # the next renewal may succeed, and the pin holds until then
                log.warning("pin %s was not renewed (%s)", point.pin_id, type(error).__name__)
