"""Open restore points for reading: manifest, keys and maps from the vault, generations from the catalogue."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from common.persistence import Store

from backup_engine.persistence.unit_of_work import UnitOfWork
from backup_engine.ports.vault import BlobStore, Kms
from backup_engine.vault.lifecycle import open_stored_keyring
from backup_engine.vault.manifest import load_manifest
from backup_engine.vault.reader import PointReader

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
class PointReaders:
    """Makes readers of points. Reading never happens inside a transaction."""

    store: Store[UnitOfWork]
    blobs: BlobStore
    kms: Kms

    async def open(self, tenant_id: UUID, vault_id: UUID, point_id: UUID, token: int) -> PointReader:
        """Raises PointMissing, KeyringUnreadable, and the store's errors."""
        async with self.store.for_tenant(tenant_id) as uow:
            sealed = await uow.vaults.sealed_keyring(vault_id)
        keyring = await open_stored_keyring(self.kms, vault_id, sealed)
        manifest = await load_manifest(self.blobs, keyring, point_id, token)
        generations = CatalogueGenerations(self.store, tenant_id, vault_id)
        return PointReader(self.blobs, keyring, manifest, generations=generations)

    async def raw(self, reader: PointReader, disk_key: int, start: int, length: int) -> AsyncIterator[bytes]:
        """The disk's bytes from ``start``, aligned to chunks after the first piece; closes the reader at the end."""
        try:
            position, end = start, start + length
            while position < end:
                piece = min(end - position, PIECE - position % PIECE)
                yield await reader.read(disk_key, position, piece)
                position += piece
        finally:
            await reader.close()
