"""A runner that dies: from the chosen step on, nothing that it does reaches the control plane or the store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from backup_engine.ports.control_plane import ControlPlane
from backup_engine.ports.vault import Blob, BlobInfo, BlobStore, PutOutcome, StoreFull


class Crash(OSError):
    """The process is gone; whoever sees this is code that a dead process would not run."""


class CrashingControl:
    """Control plane that dies at ``step`` (``name`` before the call, ``name:after`` once it has had its effect)."""

    def __init__(self, inner: ControlPlane, step: str) -> None:
        self._inner = inner
        self._step, _, self._when = step.partition(":")
        self.crashed = False

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        call = getattr(self._inner, name)

        async def guarded(*args: Any, **kwargs: Any) -> Any:
            if self.crashed:
                raise Crash(name)
            if name != self._step:
                return await call(*args, **kwargs)
            if self._when == "after":
                await call(*args, **kwargs)
            self.crashed = True
            raise Crash(name)

        return guarded


class FullStore:
    """Store without room: whatever is put is refused."""

    def __init__(self, inner: BlobStore) -> None:
        self._inner = inner

    async def put_batch(self, blobs: Sequence[Blob]) -> list[PutOutcome]:
        del blobs
        raise StoreFull

    async def get(self, name: str) -> bytes:
        return await self._inner.get(name)

    async def get_range(self, name: str, offset: int, length: int) -> bytes:
        return await self._inner.get_range(name, offset, length)

    async def delete(self, names: Sequence[str]) -> None:
        await self._inner.delete(names)

    def scan(self, prefix: str) -> AsyncIterator[BlobInfo]:
        return self._inner.scan(prefix)

    async def close(self) -> None:
        """Nothing of its own."""
