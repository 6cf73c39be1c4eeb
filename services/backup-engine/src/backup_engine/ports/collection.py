"""What the collector of a vault's garbage asks of the database: docs/vault-format.md §12 as messages.

Each call is one transaction, may be repeated, and is refused with StaleToken once another process has the cycle.
"""

from __future__ import annotations

from collections.abc import Collection as Several
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from backup_engine.domain.collection import KnownTask, Phase
from backup_engine.ports.vault import Generations, StoredObject


@dataclass(frozen=True, slots=True)
class Cycle:
    """Where a vault's cycle is. ``cursor`` is the phase's own: how far it came."""

    phase: Phase
    cursor: bytes
    state_generation: int
    """Of the highest ``state/`` object that may have been written."""
    highest_token: int
    gc_epoch: int


@dataclass(frozen=True, slots=True)
class EndedPoint:
    """A tombstoned point that nobody can bring back and nobody reads."""

    point_id: UUID
    manifest: str


class Collection(Generations, Protocol):
    """One vault's cycle."""

    async def cycle(self) -> Cycle: ...

    async def advance(self, phase: Phase, cursor: bytes = b"") -> None:
        """Note how far the cycle came."""
        ...

    async def next_state(self) -> int:
        """The number of the next ``state/`` object, noted before it is written."""
        ...

    async def tasks(self, ids: Sequence[UUID]) -> Mapping[UUID, KnownTask]:
        """What is known of these tasks; unknown ones are absent."""
        ...

    async def ended_points(self) -> list[EndedPoint]:
        """Tombstones that are over."""
        ...

    async def forget_point(self, point_id: UUID) -> None:
        """Remove the row of a point whose manifest is gone."""
        ...

    async def cut(self) -> None:
        """Note the cutoff, and go on to raising: the oldest epoch of tasks that may write, else the current one."""
        ...

    async def raise_epoch(self) -> None:
        """Begin the next epoch, and go on to marking."""
        ...

    async def roots(self) -> list[bytes]:
        """Some roots of points and of prepared tasks that this cycle has not walked; none when all are."""
        ...

    async def unwalked(self, pages: Several[bytes]) -> list[bytes]:
        """Those pages that this cycle has not walked. ≤ 1,000."""
        ...

    async def mark(self, node: bytes, names: Several[bytes]) -> None:
        """Mark a node and what it names as reachable, and the node as walked.

        Raises:
            CatalogueBehind: one of them has no live row.
        """
        ...

    async def sweep(self, after: bytes) -> bytes | None:
        """Take ``live → deleting`` what is unreachable in some ids after this one; returns where it ended.

        None at the end of all: the cycle has gone on to searching.
        """
        ...

    async def condemn(self, objects: Sequence[StoredObject]) -> None:
        """Give objects without a row one that is ``deleting``; a row that exists stays as it is."""
        ...

    async def deleting(self, limit: int) -> list[StoredObject]:
        """Some objects whose rows are ``deleting``; their generations are to be deleted."""
        ...

    async def deleted(self, objects: Sequence[StoredObject]) -> None:
        """Note that these objects are gone from the store."""
        ...

    async def forget(self) -> int:
        """Remove some rows of gone objects that no task can have met while they were being deleted (O6)."""
        ...

    async def finish(self) -> None: ...
