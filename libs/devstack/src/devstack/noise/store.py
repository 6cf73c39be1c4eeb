"""A store in front of the vaults' own that answers as S3 does to whoever asks too much: 503 SlowDown."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from backup_engine.bootstrap import assemble, service_of
from backup_engine.ports.vault import Blob, BlobInfo, BlobStore, PutOutcome, StoreUnavailable
from backup_engine.settings import Settings
from common.messaging import Broker
from common.parts import Service

from devstack.noise.plan import Refusal

SLOW_DOWN = "503 SlowDown: Please reduce your request rate."
"""S3's words (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html)."""

_NONE = Refusal("", 0, 0)


class SlowDownStore:
    """``BlobStore`` that turns callers away as it is told.

    Attributes:
        refused: Calls turned away since it was last told.
        asked_again: Of the objects of those calls, how many were then asked for again and served.
    """

    def __init__(self) -> None:
        self._inner: BlobStore | None = None
        self._told = _NONE
        self._turned_away: set[str] = set()
        self.refused = 0
        self.asked_again = 0

    async def build(self, settings: Settings, broker: Broker | None = None) -> Service:
        """Make backup-engine with this store in front of its own."""
        built = await assemble(settings, broker)
        self._inner = built.blobs
        return service_of(replace(built, blobs=self))

    def refuse(self, told: Refusal | None) -> None:
        """Count anew and turn these calls away; ``None``: none."""
        self._told = told or _NONE
        self._turned_away.clear()
        self.refused = self.asked_again = 0

    async def put_batch(self, blobs: Sequence[Blob]) -> list[PutOutcome]:
        names = [blob.name for blob in blobs]
        if self._refuses("put"):
            await self._store.put_batch(blobs[: round(len(blobs) * self._told.stored)])
            self._turn_away(names)
        outcomes = await self._store.put_batch(blobs)
        self._served(names)
        return outcomes

    async def get(self, name: str) -> bytes:
        if self._refuses("get"):
            self._turn_away([name])
        found = await self._store.get(name)
        self._served([name])
        return found

    async def get_range(self, name: str, offset: int, length: int) -> bytes:
        if self._refuses("get"):
            self._turn_away([name])
        found = await self._store.get_range(name, offset, length)
        self._served([name])
        return found

    async def delete(self, names: Sequence[str]) -> None:
        await self._store.delete(names)

    def scan(self, prefix: str) -> AsyncIterator[BlobInfo]:
        return self._store.scan(prefix)

    async def close(self) -> None:
        if self._inner is not None:
            await self._inner.close()

    @property
    def _store(self) -> BlobStore:
        if self._inner is None:
            raise RuntimeError("there is no store behind this one")
        return self._inner

    def _refuses(self, call: str) -> bool:
        if call != self._told.call or self._told.times == 0:
            return False
        if self._told.skip:
            self._told = replace(self._told, skip=self._told.skip - 1)
            return False
        self._told = replace(self._told, times=self._told.times - 1)
        return True

    def _turn_away(self, names: Sequence[str]) -> None:
        self.refused += 1
        self._turned_away.update(names)
        raise StoreUnavailable(reason=SLOW_DOWN)

    def _served(self, names: Sequence[str]) -> None:
        again = self._turned_away.intersection(names)
        self.asked_again += len(again)
        self._turned_away -= again
