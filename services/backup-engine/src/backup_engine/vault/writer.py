"""Writing a restore point: disks into chunks and maps, then the manifest (§11).

Order for the caller: ``write_disk`` for each disk, ``prepare``, the control plane's ``prepare(token)``,
``publish``, the control plane's ``commit(token)``. Nothing here decides what is read or whether to trust it.
"""

import asyncio
import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from backup_engine.ports.vault import Blob, BlobStore, ChunkCatalogue, PutOutcome
from backup_engine.vault.codec import ZSTD_LEVEL, Codec
from backup_engine.vault.disk_writer import DiskPlan, DiskWriter, Outside
from backup_engine.vault.errors import ObjectDamaged, PointConflict
from backup_engine.vault.keyring import Keyring
from backup_engine.vault.manifest import DiskRecord, PointManifest, PointRef, open_manifest
from backup_engine.vault.objects import Fetch, ObjectReader
from backup_engine.vault.pipeline import Keeper, Limits
from backup_engine.vault.progress import Meter, Progress, Statistics

__all__ = ["DiskPlan", "Limits", "Outside", "PointWriter", "PreparedPoint", "Progress", "Statistics"]


@dataclass(frozen=True, slots=True)
class PreparedPoint:
    """A point of which everything but the manifest is stored. ``digest`` is the SHA-256 of ``sealed``."""

    manifest: PointManifest
    name: str
    sealed: bytes
    digest: bytes
    statistics: Statistics


class _KnownGenerations:
    """The catalogue as the reader of the parent's map sees it."""

    def __init__(self, catalogue: ChunkCatalogue) -> None:
        self._catalogue = catalogue

    async def live_generations(self, ids: Sequence[bytes]) -> dict[bytes, int]:
        return await self._catalogue.known_chunks(ids)


class PointWriter:
    """Writes one restore point. Use it as an async context manager, or ``close`` it."""

    def __init__(
        self,
        store: BlobStore,
        catalogue: ChunkCatalogue,
        keyring: Keyring,
        *,
        executor: Executor | None = None,
        first_full: bool = False,
        distrusted: frozenset[bytes] = frozenset(),
        limits: Limits | None = None,
        progress: Callable[[Progress], None] | None = None,
        zstd_level: int = ZSTD_LEVEL,
    ) -> None:
        """Prepare a writer.

        Args:
            store: where the vault is.
            catalogue: as the task sees it.
            keyring: of the vault.
            executor: threads for computing; without it the writer has its own, one for each core.
            first_full: the vault has no point yet, so nothing is looked up beforehand.
            distrusted: ids that verification found damaged; they are read, and stored again under a new generation.
            limits: bounds of memory.
            progress: called at most every half second and at the end; shall return at once.
            zstd_level: of new chunks.
        """
        limits = limits or Limits()
        self._store = store
        self._own_executor = None if executor else ThreadPoolExecutor(os.cpu_count() or 1, "vault")
        self._executor = executor or self._own_executor or ThreadPoolExecutor(1)
        self._codec = Codec(keyring, zstd_level=zstd_level)
        self._meter = Meter(progress)
        self._buffers = asyncio.Semaphore(limits.plain_buffers)
        self._distrusted = distrusted
        self._keeper = Keeper(
            store,
            catalogue,
            self._codec,
            self._executor,
            self._meter,
            limits=limits,
            look_up=not first_full,
            distrusted=distrusted,
        )
        reader = ObjectReader(store, self._codec, self._executor, _KnownGenerations(catalogue))
        self._fetch: Fetch = reader.fetch

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def progress_now(self) -> Progress:
        return self._meter.progress

    async def write_disk(self, plan: DiskPlan) -> DiskRecord:
        """Store a disk; on return its root, pages and chunks may be referenced. Several may run at once.

        Raises:
            SourceBroken: the source broke its promise.
            StoreFull: and other errors of source, store and catalogue.
            ChunkDamaged: the parent's map cannot be read; read the disk in full without it.
        """
        disk = DiskWriter(
            plan,
            codec=self._codec,
            keeper=self._keeper,
            fetch=self._fetch,
            executor=self._executor,
            meter=self._meter,
            buffers=self._buffers,
            distrusted=self._distrusted,
        )
        record = await disk.write()
        self._meter.tell(now=True)
        return record

    async def prepare(
        self,
        *,
        point_id: UUID,
        token: int,
        created_at: datetime,
        parent: PointRef | None,
        machine: dict[str, Any],
        disks: Sequence[DiskRecord],
    ) -> PreparedPoint:
        """Return the manifest's bytes; nothing is written. The disks are those that ``write_disk`` returned."""
        statistics = self._meter.statistics
        manifest = PointManifest(
            vault_id=self._codec.keyring.vault_id,
            point_id=point_id,
            token=token,
            created_at=created_at,
            parent=parent,
            machine=machine,
            disks=tuple(disks),
            statistics=asdict(statistics),
        )
        sealed = b"".join(manifest.seal(self._codec))
        return PreparedPoint(manifest, manifest.name, sealed, hashlib.sha256(sealed).digest(), statistics)

    async def publish(self, prepared: PreparedPoint) -> None:
        """Store the manifest; durable on return. May be repeated.

        Raises:
            PointConflict: another manifest stands under this point and token.
        """
        blob = Blob(prepared.name, (prepared.sealed,))
        if await self._store.put_batch([blob]) == [PutOutcome.CREATED]:
            return
        standing = await self._store.get(prepared.name)
        if standing == prepared.sealed:
            return
        ref = PointRef(prepared.manifest.point_id, prepared.manifest.token)
        try:
            open_manifest(self._codec, ref, standing)
        except ObjectDamaged:
            # Left by this very attempt on a store that is not atomic: the token is ours alone.
            await self._store.delete([prepared.name])
            if await self._store.put_batch([blob]) == [PutOutcome.CREATED]:
                return
        raise PointConflict(name=prepared.name)

    async def close(self) -> None:
        """Give up what is under way and release threads. What was stored stays, for a next attempt to find."""
        await self._keeper.close()
        if self._own_executor is not None:
            await asyncio.to_thread(self._own_executor.shutdown)
