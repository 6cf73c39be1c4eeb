"""What the vault needs from outside: a store of blobs, a KMS, and the catalogue of stored objects.

Here are the protocols, the values that cross them and the errors that their implementations raise. What is
written into the blobs is the business of ``backup_engine.vault`` and of docs/vault-format.md.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, IntEnum, auto
from typing import Protocol

from common.errors import Forbidden, Invalid, NotFound, TooLarge, Unavailable

Buffer = bytes | bytearray | memoryview
"""Anything contiguous that can be written; ``collections.abc.Buffer`` needs Python 3.12."""

MAX_BATCH = 64
"""Blobs in one durable batch: enough to share the price of one file-system barrier."""
MAX_BLOB_BYTES = 16 * 1024 * 1024
"""No object of a vault is larger (docs/vault-format.md §4); a store refuses before it allocates."""
MAX_IDS = 1000
"""Ids in one catalogue call; 1,000 random look-ups cost some 11 ms in PostgreSQL."""


class StoreFull(Unavailable):
    """The store has no room left; nothing of the refused blob is visible."""

    code = "store_full"
    en = "The backup store is full. Free space or enlarge it, then run the backup again."
    fr = "Le stockage des sauvegardes est plein. Libérez de l'espace ou agrandissez-le, puis relancez la sauvegarde."


class StoreUnavailable(Unavailable):
    """The store failed in a way that may pass; trying again later can help."""

    code = "store_unavailable"
    en = "The backup store does not answer properly: {reason}"
    fr = "Le stockage des sauvegardes ne répond pas correctement : {reason}"


class StoreRefused(Invalid):
    """The store cannot serve a vault; trying again does not help."""

    code = "store_refused"
    en = "This place cannot hold backups: {reason}"
    fr = "Cet emplacement ne peut pas contenir de sauvegardes : {reason}"


class BlobMissing(NotFound):
    """No blob has this name."""

    code = "blob_missing"
    en = "The object {name} is missing from the backup store."
    fr = "L'objet {name} est absent du stockage des sauvegardes."


class BlobTooLarge(TooLarge):
    """A blob is larger than any object of a vault can be."""

    code = "blob_too_large"
    en = "The object {name} is larger than any object of a vault."
    fr = "L'objet {name} est plus grand que tout objet d'un coffre."


class KeyUnknown(NotFound):
    """The KMS has no such key: never made, or destroyed."""

    code = "kms_key_unknown"
    en = "The key {key_ref} does not exist or was destroyed."
    fr = "La clé {key_ref} n'existe pas ou a été détruite."


class KeyRefused(Forbidden):
    """The KMS has the key, and it does not open this secret in this context."""

    code = "kms_key_refused"
    en = "The key {key_ref} does not open this secret."
    fr = "La clé {key_ref} n'ouvre pas ce secret."


@dataclass(frozen=True, slots=True)
class Blob:
    """A named value, in parts so that a header needs no copy of what follows it."""

    name: str
    parts: tuple[Buffer, ...]

    @property
    def size_bytes(self) -> int:
        return sum(len(part) for part in self.parts)


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """What a listing tells; ``modified_at`` is by the store's clock."""

    name: str
    size_bytes: int
    modified_at: datetime


class PutOutcome(Enum):
    """EXISTS says only that the name is taken, nothing about what is there."""

    CREATED = auto()
    EXISTS = auto()


class BlobStore(Protocol):
    """Immutable blobs under names with slashes. One conformance suite holds for all implementations."""

    async def put_batch(self, blobs: Sequence[Blob]) -> list[PutOutcome]:
        """Create up to 64 blobs; on return each is durable, under its final name, or was there before.

        Never replaces. May be repeated after any failure: what was created then answers EXISTS.

        Raises:
            StoreFull: there is no room; no partial blob is visible.
            StoreUnavailable: trying again later can help.
        """
        ...

    async def get(self, name: str) -> bytes:
        """Return the whole blob.

        Raises:
            BlobMissing: there is none.
            BlobTooLarge: it is larger than 16 MiB.
        """
        ...

    async def get_range(self, name: str, offset: int, length: int) -> bytes:
        """Return up to ``length`` bytes from ``offset``; fewer at the end of the blob."""
        ...

    async def delete(self, names: Sequence[str]) -> None:
        """Delete; a name that does not exist is no error, so that deleting can be repeated."""
        ...

    def scan(self, prefix: str) -> AsyncIterator[BlobInfo]:
        """Yield the blobs whose names start with ``prefix``, in no promised order."""
        ...

    async def close(self) -> None:
        """Release what the store holds; it is not used afterwards."""
        ...


class Kms(Protocol):
    """Keys of organizations, which never leave the KMS."""

    async def create_key(self, owner: str) -> str:
        """Make one more key of this owner and return the reference by which it is found again."""
        ...

    async def wrap(self, key_ref: str, secret: bytes, context: bytes) -> bytes:
        """Seal a secret so that only this key and this context open it. Raises KeyUnknown."""
        ...

    async def unwrap(self, key_ref: str, wrapped: bytes, context: bytes) -> bytes:
        """Open a wrapped secret. Raises KeyUnknown, or KeyRefused if key, context or bytes differ."""
        ...

    async def destroy_key(self, key_ref: str) -> None:
        """Destroy one key for good; one that does not exist is no error."""
        ...

    async def destroy_owner(self, owner: str) -> None:
        """Destroy all keys of an owner for good: after that, nothing that they wrapped can be read."""
        ...


class ObjectType(IntEnum):
    """Types of catalogued objects, with their numbers in the header (docs/vault-format.md §4)."""

    CHUNK = 1
    PAGE = 2
    ROOT = 3

    @property
    def catalogue_type(self) -> str:
        """The catalogue's column ``type`` knows chunks and pages; a root counts as a page."""
        return "chunk" if self is ObjectType.CHUNK else "page"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object that is durable in the store and shall get a catalogue row."""

    id: bytes
    generation: int
    type: ObjectType
    plain_bytes: int
    stored_bytes: int


class ChunkCatalogue(Protocol):
    """Rows of stored objects, seen by one task: bound to its tenant, vault and ``gc_epoch``.

    Each call is one statement on the rows' locks and may be repeated; ≤ 1,000 ids a call. Only what a call
    returns may be referenced by a manifest (docs/vault-format.md §11, §12).
    """

    async def known_chunks(self, ids: Sequence[bytes]) -> dict[bytes, int]:
        """Mark the live rows of these ids as used now, and return each id's highest live generation.

        An id that is absent from the answer is unknown: it has no row, or only ``deleting`` ones.
        """
        ...

    async def stored_chunks(self, objects: Sequence[StoredObject]) -> set[tuple[bytes, int]]:
        """Register objects as live and used now, and return (id, generation) of those that are.

        A row that is already live is marked used. One that is ``deleting`` is left alone and not returned:
        the writer stores the object under the next generation.
        """
        ...


class Generations(Protocol):
    """The catalogue as a reader sees it."""

    async def live_generations(self, ids: Sequence[bytes]) -> dict[bytes, int]:
        """Return the highest live generation of each id; an unknown id is absent. ≤ 1,000 ids."""
        ...
