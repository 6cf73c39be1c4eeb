"""Garbage collection between any two steps of running backups never takes what their points will need (§12)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from backup_engine.domain.collection import GRACE, KnownTask, Phase, Step, Worth, worth
from backup_engine.domain.lease import Fence
from backup_engine.errors import LeaseTooOld
from backup_engine.ports.vault import Blob, PutOutcome, StoredObject
from backup_engine.testing.memory_collection import MemoryCollection, collect, collector_of
from backup_engine.testing.memory_vault import BytesDisk, MemoryStore, RowState, TestVault, disk_plan
from backup_engine.vault.errors import CatalogueBehind, ChunkDamaged
from backup_engine.vault.fenced import FencedStore
from backup_engine.vault.manifest import PointManifest
from backup_engine.vault.writer import DiskPlan, Outside
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.unit
MIB = 1 << 20
CHUNKS = 3
OLD = GRACE + timedelta(hours=1)


@dataclass
class Interleaved:
    """A vault in which the collector takes some steps before and after each call of a writer."""

    chance: random.Random
    vault: TestVault
    collection: MemoryCollection
    executor: ThreadPoolExecutor
    contents: dict[UUID, bytes] = field(default_factory=dict)
    steps: AsyncIterator[Step] | None = None
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def between(self) -> None:
        async with self._one:
            for _ in range(self.chance.choice((0, 0, 1, 3, 12))):
                await self.step()

    async def step(self) -> Step:
        """The next step of the cycle; now and then by another process, which goes on where the last one was."""
        if self.steps is None or self.chance.random() < 0.02:
            self.steps = collector_of(self.vault, self.collection, self.executor, at_once=1).steps()
        step = await anext(self.steps)
        if step is Step.FINISHED:
            self.steps = None
            await self.collection.advance(Phase.SETTLING)
        return step

    async def back_up(self, plan: DiskPlan, *, first_full: bool, dies: bool) -> PointManifest | None:
        """An attempt, as the service's rows see it; one that dies leaves what it stored."""
        task_id = uuid4()
        self.collection.running[task_id] = self.vault.catalogue.gc_epoch
        self.collection.known[task_id] = KnownTask(1, False, False, None, None)
        seen = TestVault(_Store(self), _Catalogue(self), self.vault.keyring)  # type: ignore[arg-type]
        try:
            if dies:
                async with seen.writer(first_full=first_full) as writer:
                    await writer.write_disk(plan)
                self.collection.known[task_id] = KnownTask(1, True, False, None, None)
                return None
            point = await seen.back_up(plan, point_id=task_id, first_full=first_full)
            self.collection.points.append(point)
            self.collection.known[task_id] = KnownTask(1, True, True, None, 1)
            return point
        finally:
            del self.collection.running[task_id]

    async def every_point_restores(self) -> None:
        for point in self.collection.points:
            held = await self.vault.restore(point, generations=self.vault.catalogue)
            assert held == self.contents[point.point_id]


class _Store:
    """The store as the writer sees it."""

    def __init__(self, world: Interleaved) -> None:
        self._world, self._inner = world, world.vault.store

    async def put_batch(self, blobs: Sequence[Blob]) -> list[PutOutcome]:
        await self._world.between()
        outcomes = await self._inner.put_batch(blobs)
        await self._world.between()
        return outcomes

    async def get(self, name: str) -> bytes:
        await self._world.between()
        return await self._inner.get(name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Catalogue:
    """The catalogue as the writer sees it."""

    def __init__(self, world: Interleaved) -> None:
        self._world, self._inner = world, world.vault.catalogue

    async def known_chunks(self, ids: Sequence[bytes]) -> dict[bytes, int]:
        await self._world.between()
        known = await self._inner.known_chunks(ids)
        await self._world.between()
        return known

    async def stored_chunks(self, objects: Sequence[StoredObject]) -> set[tuple[bytes, int]]:
        await self._world.between()
        return await self._inner.stored_chunks(objects)


@pytest.mark.invariant("D75", "D44", "D43")
@pytest.mark.parametrize("first_full", [False, True])
@given(st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
async def test_whatever_the_collector_does_between_the_steps_committed_points_restore(
    first_full: bool, seed: int
) -> None:
    store = MemoryStore()
    vault = TestVault.create(store)
    collection = MemoryCollection(vault.catalogue, vault.keyring.vault_id)
    with ThreadPoolExecutor(1) as executor:
        world = Interleaved(random.Random(seed), vault, collection, executor)
        for _ in range(8):
            await one_round(world, first_full=first_full)
            await world.every_point_restores()
        store.age(OLD)
        for _ in range(3):
            while await world.step() is not Step.FINISHED:
                pass
        await world.every_point_restores()
    assert objects(store) == await needed(vault, collection.points)
    assert {row.state for row in vault.catalogue.rows.values()} <= {RowState.LIVE, RowState.DELETED}


async def one_round(world: Interleaved, *, first_full: bool) -> None:
    """A backup, full or on a parent, that ends or dies; then a point is deleted if there are more than two."""
    chance, points = world.chance, world.collection.points
    kinds = [bytes([number]) * MIB for number in (1, 2, 3)]
    parent = chance.choice(points) if points and chance.random() < 0.6 else None
    before = world.contents[parent.point_id] if parent else b"".join(chance.choices(kinds, k=CHUNKS))
    at = chance.randrange(CHUNKS)
    content = before[: at * MIB] + chance.choice(kinds) + before[(at + 1) * MIB :]
    plan = disk_plan(BytesDisk(content), len(content))
    if parent:
        plan = disk_plan(
            BytesDisk(content),
            len(content),
            extents=[(at * MIB, 1)],
            outside=Outside.PARENT,
            parent_root=parent.disks[0].root,
        )
    point = await world.back_up(plan, first_full=first_full, dies=chance.random() < 0.25)
    if point is not None:
        world.contents[point.point_id] = content
    while len(points) > 2:
        world.collection.ended.append(points.pop(chance.randrange(len(points))))


def objects(store: MemoryStore) -> set[str]:
    return {name.rsplit("/", 1)[1] for name in store.blobs if "/chunks/" in name or "/maps/" in name}


async def needed(vault: TestVault, points: Sequence[PointManifest]) -> set[str]:
    """The objects that a reader of these points opens."""
    opened: set[str] = set()

    class Watched(MemoryStore):
        async def get(self, name: str) -> bytes:
            opened.add(name.rsplit("/", 1)[1])
            return await super().get(name)

    watched = Watched()
    assert isinstance(vault.store, MemoryStore)
    watched.blobs = vault.store.blobs
    for point in points:
        await TestVault(watched, vault.catalogue, vault.keyring).restore(point, generations=vault.catalogue)
    return opened


CONTENT = b"".join(bytes([number]) * MIB for number in (1, 2, 3))


async def a_point(vault: TestVault) -> PointManifest:
    return await vault.back_up(disk_plan(BytesDisk(CONTENT), len(CONTENT)))


@pytest.mark.parametrize("ended", [False, True])
def test_the_manifest_of_a_committed_point_is_kept(ended: bool) -> None:
    assert worth(3, KnownTask(3, ended, ended, 3, 3)) is Worth.KEPT


@pytest.mark.invariant("D77")
def test_a_manifest_is_judged_by_what_its_task_became() -> None:
    running, prepared = KnownTask(3, False, False, None, None), KnownTask(3, False, False, 2, None)
    failed, adopted = KnownTask(3, True, False, 2, None), KnownTask(3, True, True, 2, 2)
    assert worth(1, None) is Worth.UNKNOWN
    assert worth(4, running) is Worth.UNKNOWN
    assert worth(4, adopted) is Worth.UNKNOWN
    assert [worth(token, running) for token in (1, 2, 3)] == [Worth.LEFT_BEHIND, Worth.LEFT_BEHIND, Worth.KEPT]
    assert [worth(token, prepared) for token in (1, 2, 3)] == [Worth.LEFT_BEHIND, Worth.KEPT, Worth.KEPT]
    assert [worth(token, failed) for token in (1, 2, 3)] == [Worth.LEFT_BEHIND] * 3
    assert [worth(token, adopted) for token in (1, 2, 3)] == [Worth.LEFT_BEHIND, Worth.KEPT, Worth.LEFT_BEHIND]


@pytest.mark.invariant("D77")
def test_a_manifest_whose_point_lost_only_its_row_is_unknown() -> None:
    assert worth(2, KnownTask(2, True, True, 2, None)) is Worth.UNKNOWN


@pytest.mark.invariant("D77", "D74")
async def test_nothing_is_deleted_while_a_manifest_is_unknown() -> None:
    store = MemoryStore()
    vault = TestVault.create(store)
    await a_point(vault)
    store.age(OLD)
    collection = MemoryCollection(vault.catalogue, vault.keyring.vault_id)
    before = dict(store.blobs)
    with ThreadPoolExecutor(1) as executor, pytest.raises(CatalogueBehind):
        async for _ in collector_of(vault, collection, executor).steps():
            pass
    assert store.blobs == before


@pytest.mark.invariant("D74")
async def test_nothing_is_deleted_while_the_stores_state_is_newer_than_the_databases() -> None:
    store = MemoryStore()
    vault = TestVault.create(store)
    await collect(vault, await a_point(vault))
    before = dict(store.blobs)
    restored = MemoryCollection(vault.catalogue, vault.keyring.vault_id)
    with ThreadPoolExecutor(1) as executor, pytest.raises(CatalogueBehind, match="state"):
        async for _ in collector_of(vault, restored, executor).steps():
            pass
    assert store.blobs == before


@pytest.mark.invariant("D77")
@pytest.mark.parametrize("old", [False, True])
async def test_a_failed_attempts_manifest_goes_after_24_hours_with_all_that_only_it_named(old: bool) -> None:
    store = MemoryStore()
    vault = TestVault.create(store)
    point = await a_point(vault)
    if old:
        store.age(OLD)
    assert await collect(vault) == 5
    assert (point.name in store.blobs) is not old
    assert objects(store) == set()


async def test_a_map_that_cannot_be_read_stops_the_cycle_before_anything_is_deleted() -> None:
    store = MemoryStore()
    vault = TestVault.create(store)
    point = await a_point(vault)
    lost = b"\x04" * MIB
    async with vault.writer() as writer:
        await writer.write_disk(disk_plan(BytesDisk(lost), len(lost)))
    for name in [name for name in store.blobs if "/maps/" in name]:
        store.blobs[name] = b"damaged"
    chunks = {name for name in store.blobs if "/chunks/" in name}
    with pytest.raises(ChunkDamaged):
        await collect(vault, point)
    assert {name for name in store.blobs if "/chunks/" in name} == chunks


async def test_a_chunk_that_a_point_needs_and_the_catalogue_lost_stops_the_cycle() -> None:
    store = MemoryStore()
    vault = TestVault.create(store)
    point = await a_point(vault)
    lost = next(key for key, row in vault.catalogue.rows.items() if row.object.plain_bytes == MIB)
    del vault.catalogue.rows[lost]
    store.age(OLD)
    with pytest.raises(CatalogueBehind):
        await collect(vault, point)
    assert await vault.restore(point) == CONTENT


@pytest.mark.parametrize("old", [False, True])
async def test_an_object_without_a_row_goes_only_after_24_hours_of_the_stores_clock(old: bool) -> None:
    store = MemoryStore()
    vault = TestVault.create(store)
    point = await a_point(vault)
    name = next(name for name in store.blobs if "/chunks/" in name).replace(".0", ".7")
    await store.put_batch([Blob(name, (b"left by a writer that died before it registered",))])
    if old:
        store.age(OLD)
    await collect(vault, point)
    assert (name in store.blobs) is not old
    assert await vault.restore(point) == CONTENT


async def test_a_generation_that_a_later_one_replaced_is_collected() -> None:
    store = MemoryStore()
    vault = TestVault.create(store)
    first = await a_point(vault)
    damaged = min(object_id for (object_id, _), row in vault.catalogue.rows.items() if row.object.plain_bytes == MIB)
    again = await vault.back_up(disk_plan(BytesDisk(CONTENT), len(CONTENT)), distrusted=frozenset({damaged}))
    assert await collect(vault, first, again) == 1
    assert (damaged, 1) in {key for key, row in vault.catalogue.rows.items() if row.state is RowState.LIVE}
    assert f"{damaged.hex()}.0" not in objects(store)
    assert await vault.restore(first, generations=vault.catalogue) == CONTENT


async def test_nothing_is_deleted_behind_the_fence() -> None:
    store = MemoryStore()
    vault = TestVault.create(store)
    async with vault.writer() as writer:
        await writer.write_disk(disk_plan(BytesDisk(CONTENT), len(CONTENT)))
    vault.catalogue.gc_epoch += 1
    collection = MemoryCollection(vault.catalogue, vault.keyring.vault_id, phase=Phase.DELETING)
    for row in vault.catalogue.rows.values():
        row.state = RowState.DELETING
    before = dict(store.blobs)
    never_renewed = TestVault(FencedStore(store, Fence()), vault.catalogue, vault.keyring)  # type: ignore[arg-type]
    with ThreadPoolExecutor(1) as executor, pytest.raises(LeaseTooOld):
        async for _ in collector_of(never_renewed, collection, executor).steps():
            pass
    assert store.blobs == before


async def test_a_shared_page_is_walked_once_however_many_points_have_it() -> None:
    store = MemoryStore()
    vault = TestVault.create(store)
    points = [await a_point(vault) for _ in range(4)]
    collection = MemoryCollection(vault.catalogue, vault.keyring.vault_id, points=points)
    collection.known = {point.point_id: KnownTask(1, True, True, None, 1) for point in points}
    with ThreadPoolExecutor(1) as executor:
        steps = [step async for step in collector_of(vault, collection, executor).steps()]
    assert steps.count(Step.NODE_MARKED) == 2
