"""The vault as one attempt sees it: every write and every catalogue call stands behind the attempt's fence."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from common.crash_points import reach

from backup_engine.domain.lease import Fence
from backup_engine.ports.control_plane import ControlPlane, Grant
from backup_engine.ports.vault import Blob, BlobInfo, BlobStore, PutOutcome, StoredObject


@dataclass(frozen=True, slots=True)
class FencedStore:
    """BlobStore port that refuses to touch the store once the lease may be over (D73)."""

    inner: BlobStore
    fence: Fence

    async def put_batch(self, blobs: Sequence[Blob]) -> list[PutOutcome]:
        self.fence.check()
        outcomes = await self.inner.put_batch(blobs)
        reach("backup-engine.objects.durable")
        return outcomes

    async def get(self, name: str) -> bytes:
        self.fence.check()
        return await self.inner.get(name)

    async def get_range(self, name: str, offset: int, length: int) -> bytes:
        self.fence.check()
        return await self.inner.get_range(name, offset, length)

    async def delete(self, names: Sequence[str]) -> None:
        self.fence.check()
        await self.inner.delete(names)

    def scan(self, prefix: str) -> AsyncIterator[BlobInfo]:
        self.fence.check()
        return self.inner.scan(prefix)

    async def close(self) -> None:
        """The store is the runner's, not the attempt's."""


@dataclass(frozen=True, slots=True)
class GrantedCatalogue:
    """ChunkCatalogue and Generations ports over the control plane, for one attempt."""

    control: ControlPlane
    grant: Grant
    fence: Fence

    async def known_chunks(self, ids: Sequence[bytes]) -> dict[bytes, int]:
        self.fence.check()
        return await self.control.known_chunks(self.grant, ids)

    async def stored_chunks(self, objects: Sequence[StoredObject]) -> set[tuple[bytes, int]]:
        self.fence.check()
        live = await self.control.stored_chunks(self.grant, objects)
        reach("backup-engine.objects.registered")
        return live

    async def live_generations(self, ids: Sequence[bytes]) -> dict[bytes, int]:
        self.fence.check()
        return await self.control.live_generations(self.grant, ids)
