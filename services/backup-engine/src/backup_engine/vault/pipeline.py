"""Keeping objects: look-up, sealing and batched durable puts, each bounded, all at once (§11).

One ``Keeper`` serves all disks of a point. What it returns from may be referenced. What a disk is and which
chunks it has is in ``writer``.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from backup_engine.ports.vault import (
    MAX_BATCH,
    MAX_IDS,
    BlobStore,
    Buffer,
    ChunkCatalogue,
    ObjectType,
    StoreUnavailable,
)
from backup_engine.vault.codec import Codec
from backup_engine.vault.objects import ObjectWriter, Sealed, compute
from backup_engine.vault.progress import Meter, Stage

MIB = 1 << 20
_RECENT = 65536
_LEAST_COST = 64 * 1024
"""What the smallest object counts against the budget, so that their number is bounded too."""
CLOSING_SECONDS = 5
"""How long closing waits for batches under way: a cancelled backup shall end within 10 s."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of memory and concurrency of one point. Peak: plain buffers + sealed bytes, some 230 MiB."""

    plain_buffers: int = 16
    sealed_bytes: int = 128 * MIB
    batch_bytes: int = 40 * MIB
    batch_objects: int = MAX_BATCH
    batches: int = 2


class Plain:
    """A chunk's bytes, and what to do when they are needed no more: memory is what bounds the pipeline."""

    __slots__ = ("_give_back", "data")

    def __init__(self, data: Buffer, give_back: Callable[[], None] | None = None) -> None:
        self.data = data
        self._give_back = give_back

    def release(self) -> None:
        """Let go of the bytes; a second call does nothing."""
        self.data = b""
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()


class Budget:
    """Bytes that may be in flight; ``take`` waits until there is room. ``give`` never waits, so it suits clean-up."""

    def __init__(self, total: int) -> None:
        self._free = total
        self._waiting: list[asyncio.Future[None]] = []

    async def take(self, amount: int) -> None:
        while self._free < amount:
            room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(room)
            await room
        self._free -= amount

    def give(self, amount: int) -> None:
        self._free += amount
        woken, self._waiting = self._waiting, []
        for room in woken:
            if not room.done():
                room.set_result(None)


class Lookups:
    """Asks the catalogue for ids in as few calls as their arrival allows: what comes during a call joins the next."""

    def __init__(self, catalogue: ChunkCatalogue, meter: Meter) -> None:
        self._catalogue = catalogue
        self._meter = meter
        self._waiting: list[tuple[bytes, asyncio.Future[int | None]]] = []
        self._asking: asyncio.Task[None] | None = None

    async def find(self, object_id: bytes) -> int | None:
        """Return the live generation, marked as used, or None."""
        answer: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((object_id, answer))
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        with self._meter.within(Stage.CATALOGUE):
            return await answer

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            with suppress(asyncio.CancelledError):
                await self._asking

    async def _ask(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MAX_IDS], self._waiting[MAX_IDS:]
            try:
                known = await self._catalogue.known_chunks([object_id for object_id, _ in batch])
            except Exception as error:  # noqa: BLE001 - handed to those who asked
                _settle(batch, lambda answer, _, error=error: answer.set_exception(error))  # type: ignore[misc]
            else:
                _settle(batch, lambda answer, object_id, known=known: answer.set_result(known.get(object_id)))  # type: ignore[misc]


def _settle(
    batch: list[tuple[bytes, asyncio.Future[int | None]]],
    settle: Callable[[asyncio.Future[int | None], bytes], None],
) -> None:
    for object_id, answer in batch:
        if not answer.done():  # One who asked may have been cancelled.
            settle(answer, object_id)


class Batches:
    """Collects sealed objects into durable batches and runs a few of them at once."""

    def __init__(self, writer: ObjectWriter, meter: Meter, limits: Limits) -> None:
        self._writer = writer
        self._meter = meter
        self._limits = limits
        self._forming: list[tuple[Sealed, asyncio.Future[None]]] = []
        self._forming_bytes = 0
        self._running: set[asyncio.Task[None]] = set()
        self._urgent = 0

    async def put(self, item: Sealed) -> None:
        """Return when the object may be referenced. Errors of its batch are raised here."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._forming.append((item, done))
        self._forming_bytes += item.stored_bytes
        self._start()
        await done

    def hurry(self) -> None:
        """From now until ``relax``, send what there is without waiting for a batch to fill."""
        self._urgent += 1
        self._start()

    def relax(self) -> None:
        self._urgent -= 1

    async def close(self) -> None:
        """Give up what has not been sent, and let what has been come to its end, but not for long."""
        self._forming.clear()
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=CLOSING_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _start(self) -> None:
        while self._forming and len(self._running) < self._limits.batches and self._due:
            batch = self._forming[: self._limits.batch_objects]
            self._forming = self._forming[len(batch) :]
            self._forming_bytes = sum(item.stored_bytes for item, _ in self._forming)
            task = asyncio.create_task(self._send(batch))
            self._running.add(task)
            task.add_done_callback(self._sent)

    @property
    def _due(self) -> bool:
        full = len(self._forming) >= self._limits.batch_objects or self._forming_bytes >= self._limits.batch_bytes
        return full or self._urgent > 0

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            self._start()

    async def _send(self, batch: list[tuple[Sealed, asyncio.Future[None]]]) -> None:
        try:
            with self._meter.within(Stage.STORE):
                await self._writer.put([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - handed to those who wait for this batch
            for _, done in batch:
                if not done.done():
                    done.set_exception(error)
        else:
            for item, done in batch:
                self._meter.stored(item)
                if not done.done():
                    done.set_result(None)


class Keeper:
    """Makes sure that an object may be referenced, once for each id."""

    def __init__(
        self,
        store: BlobStore,
        catalogue: ChunkCatalogue,
        codec: Codec,
        executor: Executor,
        meter: Meter,
        *,
        limits: Limits,
        look_up: bool,
        distrusted: frozenset[bytes],
    ) -> None:
        self._codec = codec
        self._executor = executor
        self._meter = meter
        self._look_up = look_up
        self._distrusted = distrusted
        self._lookups = Lookups(catalogue, meter)
        self._batches = Batches(ObjectWriter(store, catalogue, codec, executor), meter, limits)
        self._budget = Budget(limits.sealed_bytes)
        self._recent: OrderedDict[bytes, None] = OrderedDict()
        self._coming: dict[bytes, asyncio.Future[None]] = {}

    async def keep(self, kind: ObjectType, object_id: bytes, plain: Plain) -> int:
        """Return when the object is durable and live. Releases ``plain`` as soon as it is sealed or known.

        Returns:
            The bytes that this call added to the store; 0 if the object was there.
        """
        coming = self._coming.get(object_id)
        try:
            if coming is None and object_id not in self._recent:
                return await self._once(object_id, self._keep(kind, object_id, plain))
        finally:
            plain.release()
        if coming is not None:
            await asyncio.shield(coming)
        return 0

    def hurry(self) -> None:
        self._batches.hurry()

    def relax(self) -> None:
        self._batches.relax()

    async def close(self) -> None:
        await self._lookups.close()
        await self._batches.close()

    async def _once(self, object_id: bytes, keeping: Coroutine[Any, Any, int]) -> int:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._coming[object_id] = done
        try:
            added = await keeping
        except BaseException as error:
            done.set_exception(error if isinstance(error, Exception) else StoreUnavailable(reason="given up"))
            done.exception()  # Nobody may be waiting; then it is not an error that nobody looked.
            raise
        finally:
            del self._coming[object_id]
        done.set_result(None)
        self._recent[object_id] = None
        if len(self._recent) > _RECENT:
            self._recent.popitem(last=False)
        return added

    async def _keep(self, kind: ObjectType, object_id: bytes, plain: Plain) -> int:
        generation = 0
        if self._look_up or object_id in self._distrusted:
            known = await self._lookups.find(object_id)
            if known is not None:
                if object_id not in self._distrusted:
                    return 0
                generation = known + 1
        plain_bytes = len(plain.data)
        reserved = plain_bytes + _LEAST_COST
        with self._meter.within(Stage.STORE):
            await self._budget.take(reserved)
        try:
            with self._meter.within(Stage.COMPUTE):
                seal = partial(self._codec.seal, kind, object_id, generation, plain.data)
                frame = await compute(self._executor, seal)
            del seal
            plain.release()
            item = Sealed(kind, object_id, generation, plain_bytes, frame)
            del frame
            cost = min(reserved, max(item.stored_bytes, _LEAST_COST))
            self._budget.give(reserved - cost)
            reserved = cost
            await self._batches.put(item)
        finally:
            self._budget.give(reserved)
        return item.stored_bytes
