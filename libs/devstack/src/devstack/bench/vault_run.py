"""Ours: a first full backup and a restore to a file, with the product's writer, folder store, reader and catalogue.

The catalogue is PostgreSQL with row-level security, as in the service; leases and their checks are left out.
"""

import asyncio
import os
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

from backup_engine.adapters.folder_store import FolderStore
from backup_engine.persistence.unit_of_work import UnitOfWork
from backup_engine.ports.vault import StoredObject
from backup_engine.runner.restore_disks import Sink
from backup_engine.vault.keyring import Keyring
from backup_engine.vault.manifest import ControllerRecord, PointManifest
from backup_engine.vault.reader import PointReader
from backup_engine.vault.writer import DiskPlan, PointWriter, PreparedPoint
from common.persistence import Store

from devstack.bench.image import CHUNK, Image

DISK = 2000


@dataclass(frozen=True, slots=True)
class Catalogue:
    """ChunkCatalogue and Generations ports: each call is one transaction of the tenant, as the service's are."""

    store: Store[UnitOfWork]
    tenant_id: UUID
    vault_id: UUID

    @classmethod
    async def fresh(cls, store: Store[UnitOfWork]) -> "Catalogue":
        """Make a tenant with an empty vault."""
        tenant_id = uuid4()
        async with store.for_tenant(tenant_id) as uow:
            vault_id = await uow.vaults.prepare("bench", "folder")
        return cls(store, tenant_id, vault_id)

    async def known_chunks(self, ids: Sequence[bytes]) -> dict[bytes, int]:
        async with self.store.for_tenant(self.tenant_id) as uow:
            return await uow.chunks.known(self.vault_id, ids)

    async def stored_chunks(self, objects: Sequence[StoredObject]) -> set[tuple[bytes, int]]:
        async with self.store.for_tenant(self.tenant_id) as uow:
            return await uow.chunks.stored(self.vault_id, objects)

    async def live_generations(self, ids: Sequence[bytes]) -> dict[bytes, int]:
        async with self.store.for_tenant(self.tenant_id) as uow:
            return await uow.chunks.live(self.vault_id, ids)


@dataclass(frozen=True, slots=True)
class _FileDisk:
    """RandomSource over the image."""

    handle: int

    async def pread(self, offset: int, length: int) -> bytes:
        return await asyncio.to_thread(os.pread, self.handle, length, offset)


@dataclass(frozen=True, slots=True)
class VaultRun:
    """One vault that is filled once and read once."""

    folder: Path
    catalogue: Catalogue
    keyring: Keyring

    @classmethod
    async def fresh(cls, folder: Path, store: Store[UnitOfWork]) -> "VaultRun":
        """Make an empty vault in a folder that does not exist yet."""
        catalogue = await Catalogue.fresh(store)
        return cls(folder, catalogue, Keyring.create(catalogue.vault_id))

    async def back_up(self, image: Image) -> tuple[float, PreparedPoint]:
        """Return the seconds of a first full until the point is durable, and the point."""
        await asyncio.to_thread(os.sync)
        store = await FolderStore.open(self.folder)
        handle = os.open(image.path, os.O_RDONLY)
        try:
            began = time.perf_counter()
            async with PointWriter(store, self.catalogue, self.keyring, first_full=True) as writer:
                prepared = await self._point(writer, image, _FileDisk(handle))
                await writer.publish(prepared)
            return time.perf_counter() - began, prepared
        finally:
            os.close(handle)
            await store.close()

    async def restore(self, image: Image, manifest: PointManifest, target: Path) -> tuple[float, str]:
        """Return the seconds until the disk is back as a durable file, and which of read and write took most.

        What comes is hashed and written by the runner's own sink.

        Raises:
            AssertionError: what came back is not the image.
        """
        await asyncio.to_thread(os.sync)
        store = await FolderStore.open(self.folder)
        try:
            began = time.perf_counter()
            writing = 0.0
            async with PointReader(store, self.keyring, manifest, generations=self.catalogue) as reader:
                with Sink(target, image.size) as sink:
                    async with aclosing(reader.stream(DISK)) as pieces:
                        async for offset, data in pieces:
                            writing -= time.perf_counter()
                            await asyncio.to_thread(sink.put, offset, data)
                            writing += time.perf_counter()
                    writing -= time.perf_counter()
                    digest = await asyncio.to_thread(sink.finish)
                    writing += time.perf_counter()
            seconds = time.perf_counter() - began
        finally:
            await store.close()
        assert digest == image.sha256, "the restored disk is not the image"
        return seconds, "write" if writing > seconds / 2 else "read"

    async def _point(self, writer: PointWriter, image: Image, source: _FileDisk) -> PreparedPoint:
        plan = DiskPlan(
            key=DISK,
            controller=ControllerRecord(key=1000, type="pvscsi", bus=0),
            unit=0,
            uuid=str(uuid4()),
            label="Hard disk 1",
            capacity_bytes=image.size,
            source=source,
            transport="datastore",
            transport_reason="benchmark",
            mode="full",
            full_reason="first",
            change_id=None,
            chunk_size=CHUNK,
        )
        return await writer.prepare(
            point_id=uuid4(),
            token=1,
            created_at=datetime.now(UTC),
            parent=None,
            machine={"name": "bench"},
            disks=[await writer.write_disk(plan)],
        )
