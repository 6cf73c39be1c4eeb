"""Garbage collection between any two steps of a running backup never takes what its point will need (§12)."""

import random
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field

import pytest
from backup_engine.ports.vault import Blob, ObjectType, PutOutcome, StoredObject
from backup_engine.vault.codec import Codec
from backup_engine.vault.keyring import Keyring
from backup_engine.vault.manifest import PointManifest
from backup_engine.vault.nodes import Page, Root
from backup_engine.vault.testing import BytesDisk, MemoryCatalogue, MemoryStore, TestVault, disk_plan
from backup_engine.vault.writer import Outside
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.unit
MIB = 1 << 20
CHUNKS = 3


@dataclass
class Collector:
    """The collector of §12 in steps, and the tasks that it has to respect."""

    vault: TestVault
    store: MemoryStore
    running: list[int] = field(default_factory=list)
    parents: list[PointManifest] = field(default_factory=list)
    points: list[PointManifest] = field(default_factory=list)
    deleted_in: dict[tuple[bytes, int], int] = field(default_factory=dict)
    collected: int = 0

    def cycles(self) -> Generator[None, None, None]:
        catalogue, codec = self.vault.catalogue, Codec(self.vault.keyring)
        while True:
            cutoff = min(self.running, default=catalogue.gc_epoch)
            yield
            catalogue.gc_epoch += 1
            yield
            reachable = set().union(*(self.refers_to(codec, point) for point in self.points + self.parents))
            yield
            taken = catalogue.mark_deleting(reachable=reachable, cutoff=cutoff)
            yield
            for key in taken:
                row = catalogue.rows[key].object
                self.store.blobs.pop(codec.names.object(row.type, *key), None)
                self.deleted_in[key] = catalogue.gc_epoch
                catalogue.gc_epoch += 1
                self.collected += 1
                yield
            oldest = min(self.running, default=catalogue.gc_epoch)
            done = [key for key, epoch in self.deleted_in.items() if epoch < oldest]
            catalogue.forget(done)
            for key in done:
                del self.deleted_in[key]
            yield

    def refers_to(self, codec: Codec, point: PointManifest) -> set[bytes]:
        found: set[bytes] = set()
        for disk in point.disks:
            root = Root.unpack(self.plain(codec, ObjectType.ROOT, disk.root), "root")
            found.add(disk.root)
            for index in root.present_pages():
                page_id = root[index] or b""
                page = Page.unpack(self.plain(codec, ObjectType.PAGE, page_id), "page")
                found |= {page_id, *(page[at].id for at in page.data_positions())}
        return found

    def plain(self, codec: Codec, kind: ObjectType, object_id: bytes) -> bytes:
        prefix = codec.names.generations(kind, object_id)
        generations = sorted(int(name[len(prefix) :]) for name in self.store.blobs if name.startswith(prefix))
        frame = self.store.blobs[f"{prefix}{generations[-1]}"]
        return codec.open(kind, object_id, generations[-1], frame)


class Interrupted(MemoryStore):
    """A store during whose calls the collector goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.between: Callable[[], None] = lambda: None

    async def put_batch(self, blobs: Sequence[Blob]) -> list[PutOutcome]:
        self.between()
        outcomes = await super().put_batch(blobs)
        self.between()
        return outcomes

    async def get(self, name: str) -> bytes:
        self.between()
        return await super().get(name)


class InterruptedCatalogue(MemoryCatalogue):
    def __init__(self, store: Interrupted) -> None:
        super().__init__()
        self.store = store

    async def known_chunks(self, ids: Sequence[bytes]) -> dict[bytes, int]:
        self.store.between()
        known = await super().known_chunks(ids)
        self.store.between()
        return known

    async def stored_chunks(self, objects: Sequence[StoredObject]) -> set[tuple[bytes, int]]:
        self.store.between()
        return await super().stored_chunks(objects)


@pytest.mark.invariant("D75", "D44", "D43")
@pytest.mark.parametrize("first_full", [False, True])
@given(st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
async def test_whatever_the_collector_does_between_the_steps_committed_points_restore(
    first_full: bool, seed: int
) -> None:
    chance = random.Random(seed)
    store = Interrupted()
    vault = TestVault(store, InterruptedCatalogue(store), Keyring.create(TestVault.create().keyring.vault_id))
    collector = Collector(vault, store)
    cycles = collector.cycles()

    def between() -> None:
        for _ in range(chance.choice((0, 0, 1, 3, 12))):
            next(cycles)

    kinds = [bytes([number]) * MIB for number in (1, 2, 3)]
    contents: dict[str, bytes] = {}
    for _ in range(8):
        parent = chance.choice(collector.points) if collector.points and chance.random() < 0.6 else None
        epoch = vault.catalogue.gc_epoch
        collector.running.append(epoch)
        collector.parents = [parent] if parent else []
        before = contents[str(parent.point_id)] if parent else b"".join(chance.choices(kinds, k=CHUNKS))
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
        store.between = between
        point = await vault.back_up(plan, first_full=first_full)
        store.between = lambda: None
        collector.points.append(point)
        contents[str(point.point_id)] = content
        collector.running.remove(epoch)
        collector.parents = []
        while len(collector.points) > 2:
            gone = collector.points.pop(chance.randrange(len(collector.points)))
            await store.delete([gone.name])
        for kept in collector.points:
            assert await vault.restore(kept, generations=vault.catalogue) == contents[str(kept.point_id)]
    for _ in range(200):
        next(cycles)
    for kept in collector.points:
        assert await vault.restore(kept, generations=vault.catalogue) == contents[str(kept.point_id)]
    named = {name.split("/")[-1].rsplit(".", 1)[0] for name in store.blobs if "/chunks/" in name or "/maps/" in name}
    assert named == {object_id.hex() for object_id in await vault.reachable()} | _unregistered(vault, store)


def _unregistered(vault: TestVault, store: MemoryStore) -> set[str]:
    """Objects of class (d) of §12: no row names them; they are swept by age, which is not part of this test."""
    rows = {f"{object_id.hex()}.{generation}" for object_id, generation in vault.catalogue.rows}
    ends = {name.split("/")[-1] for name in store.blobs if "/chunks/" in name or "/maps/" in name}
    return {end.rsplit(".", 1)[0] for end in ends - rows}
