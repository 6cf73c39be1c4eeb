"""The collector of a real vault steps between the calls of real backups, in any order (D75)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from backup_engine.domain.collection import Step
from backup_engine.ports.vault import Blob, BlobStore, ChunkCatalogue, PutOutcome, StoredObject
from backup_engine.testing.engine import engine_of
from backup_engine.testing.vaults import Vault, disk
from backup_engine.vault.codec import Codec
from backup_engine.vault.collector import Collector
from backup_engine.workflows.leased_collection import LeasedCollection
from common.testing import ServiceDatabase
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@dataclass
class Interleaved:
    """The collector of a real vault, stepping before and after each call of a writer."""

    chance: random.Random
    vault: Vault
    codec: Codec
    collection: LeasedCollection
    threads: ThreadPoolExecutor
    steps: AsyncIterator[Step] | None = None
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def between(self) -> None:
        async with self._one:
            for _ in range(self.chance.choice((0, 0, 1, 2, 6))):
                await self.step()

    async def step(self) -> Step:
        if self.steps is None:
            assert await self.collection.take()
            blobs, clock = self.vault.engine.built.blobs, self.vault.engine.built.store.clock
            collector = Collector(blobs, self.collection, self.codec, self.threads, now=clock.now, at_once=1)
            self.steps = collector.steps()
        step = await anext(self.steps)
        if step is Step.FINISHED:
            self.steps = None
            await self.collection.release()
        return step


@dataclass
class Between:
    """A store or catalogue in whose calls the collector goes on."""

    world: Interleaved
    inner: BlobStore | ChunkCatalogue

    async def put_batch(self, blobs: Sequence[Blob]) -> list[PutOutcome]:
        await self.world.between()
        outcomes: list[PutOutcome] = await self.inner.put_batch(blobs)  # type: ignore[union-attr]
        await self.world.between()
        return outcomes

    async def known_chunks(self, ids: Sequence[bytes]) -> dict[bytes, int]:
        await self.world.between()
        known: dict[bytes, int] = await self.inner.known_chunks(ids)  # type: ignore[union-attr]
        await self.world.between()
        return known

    async def stored_chunks(self, objects: Sequence[StoredObject]) -> set[tuple[bytes, int]]:
        await self.world.between()
        live: set[tuple[bytes, int]] = await self.inner.stored_chunks(objects)  # type: ignore[union-attr]
        await self.world.between()
        return live

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@pytest.mark.invariant("D75")
@pytest.mark.timeout(600)
@given(st.integers(0, 2**32))
@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_however_a_cycle_and_backups_are_interleaved_committed_points_restore(
    database: ServiceDatabase, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    engine, threads = await engine_of(database, tmp_path / str(seed)), ThreadPoolExecutor(1)
    try:
        vault = await Vault.of(engine)
        first = await vault.begin()
        collection = LeasedCollection(engine.built.store, vault.tenant_id, vault.vault_id, "interleaved")
        world = Interleaved(chance, vault, Codec(first.keyring), collection, threads)
        await first.fail()
        points: dict[UUID, bytes] = {}
        for _ in range(4):
            content = disk(*chance.choices((1, 2, 3), k=3))
            backup = await vault.begin()
            backup.store, backup.catalogue = Between(world, backup.store), Between(world, backup.catalogue)  # type: ignore[assignment]
            point = await backup.write(content)
            if chance.random() < 0.3:
                await backup.fail()
            else:
                points[await backup.commit(point)] = content
            while len(points) > 2:
                gone = chance.choice(sorted(points))
                await vault.delete_point(gone)
                del points[gone]
            for point_id, held in points.items():
                assert await vault.restored(point_id) == held
        for _ in range(3):
            while await world.step() is not Step.FINISHED:
                pass
        for point_id, held in points.items():
            assert await vault.restored(point_id) == held
    finally:
        threads.shutdown()
        await engine.close()
