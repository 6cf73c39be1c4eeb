"""The `Collection` port over the catalogue in memory, as strict as SQL: for tests of the collector's own steps."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from backup_engine.domain.collection import KnownTask, Phase
from backup_engine.ports.collection import Cycle, EndedPoint
from backup_engine.ports.vault import MAX_IDS, StoredObject
from backup_engine.testing.memory_vault import MemoryCatalogue, Row, RowState, TestVault
from backup_engine.vault.codec import Codec
from backup_engine.vault.collector import Collector
from backup_engine.vault.errors import CatalogueBehind
from backup_engine.vault.manifest import PointManifest, list_points
from backup_engine.vault.states import list_states


@dataclass
class MemoryCollection:
    """What the database knows: tests add and remove tasks and points as the service's use cases would."""

    catalogue: MemoryCatalogue
    vault_id: UUID
    running: dict[UUID, int] = field(default_factory=dict)
    """Backups that have begun and not ended, with the epoch that they noted."""
    known: dict[UUID, KnownTask] = field(default_factory=dict)
    points: list[PointManifest] = field(default_factory=list)
    ended: list[PointManifest] = field(default_factory=list)
    """Tombstoned points that are over; their maps are kept until they are forgotten."""
    phase: Phase = Phase.SETTLING
    cursor: bytes = b""
    cutoff: int = 0
    state_generation: int = 0
    walked: set[bytes] = field(default_factory=set)
    collected: int = 0

    async def cycle(self) -> Cycle:
        return Cycle(self.phase, self.cursor, self.state_generation, 1, self.catalogue.gc_epoch)

    async def advance(self, phase: Phase, cursor: bytes = b"") -> None:
        self.phase, self.cursor = phase, cursor

    async def next_state(self) -> int:
        self.state_generation += 1
        return self.state_generation

    async def tasks(self, ids: Sequence[UUID]) -> Mapping[UUID, KnownTask]:
        return {task_id: self.known[task_id] for task_id in ids if task_id in self.known}

    async def ended_points(self) -> list[EndedPoint]:
        return [EndedPoint(point.point_id, point.name) for point in self.ended]

    async def forget_point(self, point_id: UUID) -> None:
        self.ended = [point for point in self.ended if point.point_id != point_id]

    async def cut(self) -> None:
        self.cutoff = min(self.running.values(), default=self.catalogue.gc_epoch)
        await self.advance(Phase.RAISING)

    async def raise_epoch(self) -> None:
        self.catalogue.gc_epoch += 1
        self.walked.clear()
        await self.advance(Phase.MARKING)

    async def roots(self) -> list[bytes]:
        every = {disk.root for point in self.points + self.ended for disk in point.disks}
        return sorted(every - self.walked)[:1]

    async def unwalked(self, pages: Collection[bytes]) -> list[bytes]:
        if len(pages) > MAX_IDS:
            raise ValueError(f"{len(pages)} ids are more than one call may carry")
        return [page for page in pages if page not in self.walked]

    async def mark(self, node: bytes, names: Collection[bytes]) -> None:
        live = await self.catalogue.live_generations([node, *names])
        for object_id in {node, *names}:
            if object_id not in live:
                raise CatalogueBehind(vault_id=self.vault_id, reason=f"it has no live row of {object_id.hex()}")
            row = self.catalogue.rows[object_id, live[object_id]]
            row.used_epoch = max(row.used_epoch, self.cutoff)
        self.walked.add(node)

    async def sweep(self, after: bytes) -> bytes | None:
        ids = sorted({object_id for object_id, _ in self.catalogue.rows if object_id > after})
        if not ids:
            await self.advance(Phase.SEARCHING)
            return None
        for (object_id, _), row in self.catalogue.rows.items():
            if object_id == ids[0] and row.state is RowState.LIVE and row.used_epoch < self.cutoff:
                row.state = RowState.DELETING
        return ids[0]

    async def condemn(self, objects: Sequence[StoredObject]) -> None:
        for item in objects:
            self.catalogue.rows.setdefault((item.id, item.generation), self._row(item))

    def _row(self, item: StoredObject) -> Row:
        return Row(item, RowState.DELETING, self.catalogue.gc_epoch)

    async def deleting(self, limit: int) -> list[StoredObject]:
        return [row.object for row in self.catalogue.rows.values() if row.state is RowState.DELETING][:limit]

    async def deleted(self, objects: Sequence[StoredObject]) -> None:
        for item in objects:
            row = self.catalogue.rows[item.id, item.generation]
            assert row.state is RowState.DELETING
            row.state, row.used_epoch = RowState.DELETED, self.catalogue.gc_epoch
            self.collected += 1

    async def forget(self) -> int:
        oldest = min(self.running.values(), default=self.catalogue.gc_epoch)
        rows = self.catalogue.rows.items()
        gone = [key for key, row in rows if row.state is RowState.DELETED and row.used_epoch < oldest]
        for key in gone[:1]:
            del self.catalogue.rows[key]
        return len(gone[:1])

    async def finish(self) -> None:
        await self.advance(Phase.FINISHED)

    async def live_generations(self, ids: Sequence[bytes]) -> dict[bytes, int]:
        return await self.catalogue.live_generations(ids)


def collector_of(vault: TestVault, collection: MemoryCollection, executor: Executor, **options: Any) -> Collector:
    """The product's collector on a vault of fakes."""
    codec = Codec(vault.keyring)
    return Collector(vault.store, collection, codec, executor, now=lambda: datetime.now(UTC), **options)


async def collect(vault: TestVault, *points: PointManifest) -> int:
    """Two whole cycles with no task running, the second of which takes what the first one found just used.

    Args:
        vault: where.
        points: those that the database has; manifests of others are taken for points that were deleted.

    Returns:
        How many objects were deleted.
    """
    collection = MemoryCollection(vault.catalogue, vault.keyring.vault_id, points=list(points))
    kept = {point.point_id for point in points}
    for ref in await list_points(vault.store, vault.keyring.vault_id):
        point_token = ref.token if ref.point_id in kept else None
        collection.known[ref.point_id] = KnownTask(ref.token, True, point_token is not None, None, point_token)
    collection.state_generation = max(await list_states(vault.store, Codec(vault.keyring)), default=0)
    with ThreadPoolExecutor(1) as executor:
        for _ in range(2):
            await collection.advance(Phase.SETTLING)
            async for _step in collector_of(vault, collection, executor).steps():
                pass
    return collection.collected
