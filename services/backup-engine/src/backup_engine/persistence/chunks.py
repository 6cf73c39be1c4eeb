"""The chunk catalogue of a vault: what is stored, under which generation, and when it was last used.

Marking as used and looking up are one UPDATE, so that the row lock decides every race with garbage collection.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, LargeBinary, any_, cast, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert

from backup_engine.persistence.rows import Repository
from backup_engine.persistence.tables import chunks, vaults
from backup_engine.ports.vault import StoredObject


class ChunkRepository(Repository):
    """Chunks and map pages of the tenant's vaults."""

    async def known(self, vault_id: UUID, ids: Sequence[bytes]) -> dict[bytes, int]:
        """Highest live generation of each id, marked as used in the vault's current epoch; absent means unknown."""
        # Locked in the order of their keys: two tasks that mark the same chunks never wait for each other in a circle.
        locked = (
            select(chunks.c.id, chunks.c.generation)
            .where(self._mine(chunks, vault_id=vault_id, state="live"), chunks.c.id == ids_array(ids))
            .order_by(chunks.c.id, chunks.c.generation)
            .with_for_update()
            .cte("locked")
        )
        rows = await self._session.execute(
            update(chunks)
            .where(
                self._mine(chunks, vault_id=vault_id, state="live"),
                chunks.c.id == locked.c.id,
                chunks.c.generation == locked.c.generation,
            )
            .values(used_epoch=func.greatest(chunks.c.used_epoch, self._epoch(vault_id)))
            .returning(chunks.c.id, chunks.c.generation)
        )
        found: dict[bytes, int] = {}
        for chunk_id, generation in rows:
            found[bytes(chunk_id)] = max(generation, found.get(bytes(chunk_id), 0))
        return found

    async def stored(self, vault_id: UUID, objects: Sequence[StoredObject]) -> set[tuple[bytes, int]]:
        """Register durable objects; those not returned meet a row in `deleting` and go under the next generation."""
        epoch = self._epoch(vault_id)
        statement = upsert(chunks).values(
            [
                {
                    "tenant_id": self._uow.tenant_id,
                    "vault_id": vault_id,
                    "id": stored.id,
                    "generation": stored.generation,
                    "type": stored.type.catalogue_type,
                    "state": "live",
                    "used_epoch": epoch,
                    "plain_bytes": stored.plain_bytes,
                    "stored_bytes": stored.stored_bytes,
                }
                for stored in sorted(objects, key=lambda one: (one.id, one.generation))
            ]
        )
        rows = await self._session.execute(
            statement.on_conflict_do_update(
                index_elements=["tenant_id", "vault_id", "id", "generation"],
                set_={"used_epoch": func.greatest(chunks.c.used_epoch, statement.excluded.used_epoch)},
                where=chunks.c.state == "live",
            ).returning(chunks.c.id, chunks.c.generation)
        )
        return {(bytes(chunk_id), generation) for chunk_id, generation in rows}

    async def live(self, vault_id: UUID, ids: Sequence[bytes]) -> dict[bytes, int]:
        """Highest live generation of each id, for readers: nothing is marked."""
        rows = await self._session.execute(
            select(chunks.c.id, func.max(chunks.c.generation))
            .where(self._mine(chunks, vault_id=vault_id, state="live"), chunks.c.id == ids_array(ids))
            .group_by(chunks.c.id)
        )
        return {bytes(chunk_id): generation for chunk_id, generation in rows}

    def _epoch(self, vault_id: UUID) -> object:
        return select(vaults.c.gc_epoch).where(self._mine(vaults, id=vault_id)).scalar_subquery()


def ids_array(ids: Collection[bytes]) -> ColumnElement[Any]:
    """Any of the ids, as one parameter, so that every number of them is the same prepared statement."""
    return any_(cast(list(ids), ARRAY(LargeBinary)))
