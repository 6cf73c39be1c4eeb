"""The store in the hands of one holder of a lease: every call stands behind the holder's fence."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from common.crash_points import reach

from backup_engine.domain.lease import Fence
from backup_engine.ports.vault import Blob, BlobInfo, BlobStore, PutOutcome


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
        """The store is the process's, not the holder's."""
