"""Collecting a vault's garbage (§12): what is reachable is marked, what is not and was not used lately is deleted.

A cycle is a sequence of steps; between any two it may be cut off, by a budget or by a crash, and goes on later from
what the `Collection` kept. Memory holds one root and one page, whatever the vault's size. What decides races is in
the `Collection`; whose turn it is, and for how long, in `workflows/collect_garbage.py`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import Executor
from datetime import datetime
from typing import TypeVar

from backup_engine.domain.collection import GRACE, Phase, Step, Worth, worth
from backup_engine.ports.collection import Collection, Cycle
from backup_engine.ports.vault import MAX_IDS, BlobInfo, BlobMissing, BlobStore, ObjectType, StoredObject
from backup_engine.vault.codec import Codec
from backup_engine.vault.errors import CatalogueBehind
from backup_engine.vault.nodes import Page, Root
from backup_engine.vault.objects import ObjectReader
from backup_engine.vault.states import list_states, store_time, write_state

DELETED_AT_ONCE = 500
"""Objects per deletion: enough to share the price of one barrier, few enough to end well within the lease."""
_FOLDERS = [(kind, digit) for kind in (ObjectType.CHUNK, ObjectType.PAGE) for digit in "0123456789abcdef"]
"""A vault's objects in parts that are listed one after the other."""

_Item = TypeVar("_Item")


class Collector:
    """One vault's cycle, from wherever it stands to its end."""

    def __init__(
        self,
        store: BlobStore,
        collection: Collection,
        codec: Codec,
        executor: Executor,
        *,
        now: Callable[[], datetime],
        at_once: int = DELETED_AT_ONCE,
    ) -> None:
        """Prepare a cycle.

        Args:
            store: where the vault is; it refuses a holder whose time may be over, so that nothing is deleted then.
            collection: the database's side.
            codec: of the vault.
            executor: threads for opening map nodes.
            now: for what people read in ``state/``; no age is measured by it.
            at_once: objects per deletion.
        """
        self._store = store
        self._collection = collection
        self._codec = codec
        self._vault_id = codec.keyring.vault_id
        self._fetch = ObjectReader(store, codec, executor, collection).fetch
        self._now = now
        self._at_once = at_once

    async def steps(self) -> AsyncGenerator[Step, None]:
        """Go on with the cycle, yielding after each durable step; ends with FINISHED.

        Raises:
            CatalogueBehind: the database is older than the store. Nothing was deleted in this cycle.
            ChunkDamaged: a map cannot be read, so what it reaches is unknown. Nothing was deleted in this cycle.
        """
        phases: dict[Phase, Callable[[Cycle], AsyncIterator[Step]]] = {
            Phase.SETTLING: self._settle,
            Phase.CUTTING: self._cut,
            Phase.RAISING: self._raise,
            Phase.MARKING: self._mark,
            Phase.SWEEPING: self._sweep,
            Phase.SEARCHING: self._search,
            Phase.DELETING: self._delete,
        }
        while (cycle := await self._collection.cycle()).phase is not Phase.FINISHED:
            async for step in phases[cycle.phase](cycle):
                yield step

    async def _settle(self, cycle: Cycle) -> AsyncIterator[Step]:
        """Compare ``points/`` and ``state/`` with the database; manifests that will never be points go."""
        if max(await list_states(self._store, self._codec), default=0) > cycle.state_generation:
            raise CatalogueBehind(vault_id=self._vault_id, reason="its newest state is not from this database")
        left_behind = await self._left_behind()
        generation = await self._collection.next_state()
        await write_state(
            self._store,
            self._codec,
            generation,
            written_at=self._now(),
            highest_token=cycle.highest_token,
            gc_epoch=cycle.gc_epoch,
        )
        old = await store_time(self._store, self._codec, generation) - GRACE
        await self._store.delete([info.name for info in left_behind if info.modified_at < old])
        for point in await self._collection.ended_points():
            await self._store.delete([point.manifest])
            await self._collection.forget_point(point.point_id)
        await self._collection.advance(Phase.CUTTING)
        yield Step.SETTLED

    async def _left_behind(self) -> list[BlobInfo]:
        """Manifests of attempts that became no point. Raises CatalogueBehind for those that nobody knows of."""
        found: list[BlobInfo] = []
        async for batch in _batches(self._store.scan(self._codec.names.points)):
            refs = [(info, ref) for info in batch if (ref := self._codec.names.parse_point(info.name))]
            known = await self._collection.tasks([task_id for _, (task_id, _) in refs])
            for info, (task_id, token) in refs:
                judged = worth(token, known.get(task_id))
                if judged is Worth.UNKNOWN and await self._exists(info.name):
                    raise CatalogueBehind(vault_id=self._vault_id, reason=f"it does not know {info.name}")
                if judged is Worth.LEFT_BEHIND:
                    found.append(info)
        return found

    async def _cut(self, cycle: Cycle) -> AsyncIterator[Step]:
        """The cutoff comes before marking: what is used from now on is younger than it."""
        del cycle
        await self._collection.cut()
        yield Step.CUTOFF_NOTED

    async def _raise(self, cycle: Cycle) -> AsyncIterator[Step]:
        del cycle
        await self._collection.raise_epoch()
        yield Step.EPOCH_RAISED

    async def _mark(self, cycle: Cycle) -> AsyncIterator[Step]:
        """Walk the maps of everything that may be read. A page is walked once, however many points share it."""
        del cycle
        while roots := await self._collection.roots():
            for root_id in roots:
                name = self._codec.names.generations(ObjectType.ROOT, root_id)
                root = Root.unpack(await self._fetch(ObjectType.ROOT, root_id), name)
                pages = sorted({root[index] or b"" for index in root.present_pages()})
                for at in range(0, len(pages), MAX_IDS):
                    for page_id in await self._collection.unwalked(pages[at : at + MAX_IDS]):
                        await self._collection.mark(page_id, await self._named_by(page_id))
                        yield Step.NODE_MARKED
                await self._collection.mark(root_id, [])
                yield Step.NODE_MARKED
        await self._collection.advance(Phase.SWEEPING)
        yield Step.MARKED

    async def _named_by(self, page_id: bytes) -> set[bytes]:
        name = self._codec.names.generations(ObjectType.PAGE, page_id)
        page = Page.unpack(await self._fetch(ObjectType.PAGE, page_id), name)
        return {page[at].id for at in page.data_positions()}

    async def _sweep(self, cycle: Cycle) -> AsyncIterator[Step]:
        after: bytes | None = cycle.cursor
        while after is not None:
            after = await self._collection.sweep(after)
            yield Step.DELETING_SET

    async def _search(self, cycle: Cycle) -> AsyncIterator[Step]:
        """Objects without a row go the way of all others: by a ``deleting`` row, and never while they are young."""
        old = await store_time(self._store, self._codec, cycle.state_generation) - GRACE
        for number, (kind, digit) in list(enumerate(_FOLDERS))[len(cycle.cursor) :]:
            async for batch in _batches(self._store.scan(self._codec.names.folder(kind) + digit)):
                await self._collection.condemn(
                    [
                        StoredObject(*parsed, kind, 0, info.size_bytes)
                        for info in batch
                        if info.modified_at < old and (parsed := self._codec.names.parse_object(kind, info.name))
                    ]
                )
            await self._collection.advance(Phase.SEARCHING, bytes(number + 1))
            yield Step.SEARCHED
        await self._collection.advance(Phase.DELETING)

    async def _delete(self, cycle: Cycle) -> AsyncIterator[Step]:
        """The object goes before its row: a row without an object costs nothing, an object without a row a search."""
        del cycle
        while rows := await self._collection.deleting(self._at_once):
            await self._store.delete([self._codec.names.object(row.type, row.id, row.generation) for row in rows])
            yield Step.OBJECT_DELETED
            await self._collection.deleted(rows)
            yield Step.DELETION_NOTED
        while await self._collection.forget():
            yield Step.ROW_DELETED
        await self._collection.finish()
        yield Step.FINISHED

    async def _exists(self, name: str) -> bool:
        try:
            await self._store.get_range(name, 0, 1)
        except BlobMissing:
            return False
        return True


async def _batches(items: AsyncIterator[_Item]) -> AsyncIterator[list[_Item]]:
    batch: list[_Item] = []
    async for item in items:
        batch.append(item)
        if len(batch) == MAX_IDS:
            yield batch
            batch = []
    if batch:
        yield batch
