"""The `Collection` port over SQL: each call is one transaction of the tenant that first renews the cycle's lease."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from common.persistence import Store

from backup_engine.domain.collection import LEASE, KnownTask, Phase
from backup_engine.domain.lease import Fence
from backup_engine.persistence.unit_of_work import UnitOfWork
from backup_engine.ports.collection import Cycle, EndedPoint
from backup_engine.ports.vault import MAX_IDS, StoredObject
from backup_engine.vault.errors import CatalogueBehind


@dataclass(frozen=True, slots=True)
class LeasedCollection:
    """One vault's cycle in the hands of one process. `fence` is up when another may have it."""

    store: Store[UnitOfWork]
    tenant_id: UUID
    vault_id: UUID
    holder: str
    fence: Fence = field(default_factory=lambda: Fence(LEASE))

    async def take(self) -> bool:
        """Take the cycle, beginning a new one where the last has ended; False when another process has it."""
        sent_at = time.monotonic()
        async with self.store.for_tenant(self.tenant_id) as uow:
            taken = await uow.collections.take(self.vault_id, self.holder, LEASE)
        if taken:
            self.fence.renewed(sent_at)
        return taken

    async def release(self) -> None:
        async with self.store.for_tenant(self.tenant_id) as uow:
            await uow.collections.release(self.vault_id, self.holder)

    @asynccontextmanager
    async def _held(self) -> AsyncIterator[UnitOfWork]:
        sent_at = time.monotonic()
        async with self.store.for_tenant(self.tenant_id) as uow:
            await uow.collections.renew(self.vault_id, self.holder, LEASE)
            yield uow
        self.fence.renewed(sent_at)

    async def cycle(self) -> Cycle:
        async with self._held() as uow:
            return await uow.collections.cycle(self.vault_id)

    async def advance(self, phase: Phase, cursor: bytes = b"") -> None:
        async with self._held() as uow:
            await uow.collections.advance(self.vault_id, phase, cursor)

    async def next_state(self) -> int:
        async with self._held() as uow:
            return await uow.collections.next_state(self.vault_id)

    async def tasks(self, ids: Sequence[UUID]) -> Mapping[UUID, KnownTask]:
        async with self._held() as uow:
            return await uow.collections.known_tasks(ids)

    async def ended_points(self) -> list[EndedPoint]:
        async with self._held() as uow:
            return await uow.collections.ended_points(self.vault_id)

    async def forget_point(self, point_id: UUID) -> None:
        async with self._held() as uow:
            await uow.pins.remove_point(point_id)

    async def cut(self) -> None:
        async with self._held() as uow:
            await uow.collections.cut(self.vault_id)

    async def raise_epoch(self) -> None:
        async with self._held() as uow:
            await uow.collections.raise_epoch(self.vault_id)

    async def roots(self) -> list[bytes]:
        async with self._held() as uow:
            return await uow.collections.roots(self.vault_id)

    async def unwalked(self, pages: Collection[bytes]) -> list[bytes]:
        async with self._held() as uow:
            return await uow.collections.unwalked(self.vault_id, pages)

    async def mark(self, node: bytes, names: Collection[bytes]) -> None:
        wanted = sorted({node, *names})
        async with self._held() as uow:
            for at in range(0, len(wanted), MAX_IDS):
                some = wanted[at : at + MAX_IDS]
                missing = set(some) - await uow.collections.mark(self.vault_id, some)
                if missing:
                    reason = f"it has no live row of {min(missing).hex()}, which a restore point needs"
                    raise CatalogueBehind(vault_id=self.vault_id, reason=reason)
            await uow.collections.walked(self.vault_id, node)

    async def sweep(self, after: bytes) -> bytes | None:
        async with self._held() as uow:
            end = await uow.collections.sweep(self.vault_id, after)
            phase = Phase.SEARCHING if end is None else Phase.SWEEPING
            await uow.collections.advance(self.vault_id, phase, end or b"")
            return end

    async def condemn(self, objects: Sequence[StoredObject]) -> None:
        async with self._held() as uow:
            await uow.collections.condemn(self.vault_id, objects)

    async def deleting(self, limit: int) -> list[StoredObject]:
        async with self._held() as uow:
            return await uow.collections.deleting(self.vault_id, limit)

    async def deleted(self, objects: Sequence[StoredObject]) -> None:
        async with self._held() as uow:
            await uow.collections.deleted(self.vault_id, objects)

    async def forget(self) -> int:
        async with self._held() as uow:
            return await uow.collections.forget(self.vault_id)

    async def finish(self) -> None:
        async with self._held() as uow:
            await uow.collections.finish(self.vault_id)

    async def live_generations(self, ids: Sequence[bytes]) -> dict[bytes, int]:
        async with self._held() as uow:
            return await uow.chunks.live(self.vault_id, ids)
