"""Garbage collection as rows and SQL: the lease on a vault's cycle, the cutoff, marks, the sweep, what went (§12)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Select,
    case,
    delete,
    exists,
    func,
    literal_column,
    select,
    text,
    tuple_,
    union,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from backup_engine.domain.collection import UNDO, UNDO_MARGIN, KnownTask, Phase
from backup_engine.domain.job import ENDED, TaskKind, TaskStatus
from backup_engine.domain.point import PointState
from backup_engine.errors import StaleToken
from backup_engine.persistence.chunks import ids_array
from backup_engine.persistence.pins import unpinned
from backup_engine.persistence.rows import Repository
from backup_engine.persistence.tables import (
    chunks,
    collections,
    point_disks,
    restore_points,
    tasks,
    vaults,
    walked_nodes,
)
from backup_engine.ports.collection import Cycle, EndedPoint
from backup_engine.ports.vault import ObjectType, StoredObject

ROOTS = 200
"""Roots handed out at once."""
WINDOW = 10_000
"""Rows that one statement sweeps: some 20 ms, whether it takes none of them or all."""
AT_ONCE = 1000
"""Rows that one statement removes."""

_RUNNING = tasks.c.status.not_in([str(status) for status in ENDED])
"""Also between two attempts: the next one shall find what the last one stored, and its prepared point."""


class CollectionRepository(Repository):
    """The cycles of the tenant's vaults."""

    async def take(self, vault_id: UUID, holder: str, lease: timedelta) -> bool:
        """Take the vault's cycle, beginning a new one where the last has ended; False when somebody else has it."""
        await self._session.execute(
            upsert(collections)
            .values(tenant_id=self._uow.tenant_id, vault_id=vault_id, phase=str(Phase.FINISHED))
            .on_conflict_do_nothing()
        )
        ended = collections.c.phase == str(Phase.FINISHED)

        def anew(name: str, begun: ColumnElement[object]) -> ColumnElement[object]:
            return case((ended, begun), else_=collections.c[name])

        return await self._change(
            vault_id,
            (collections.c.held_until.is_(None)) | (collections.c.held_until < func.clock_timestamp()),
            holder=holder,
            held_until=func.clock_timestamp() + lease,
            phase=anew("phase", literal_column(f"'{Phase.SETTLING}'")),
            started_at=anew("started_at", func.clock_timestamp()),
            objects_deleted=anew("objects_deleted", literal_column("0")),
            bytes_deleted=anew("bytes_deleted", literal_column("0")),
        )

    async def renew(self, vault_id: UUID, holder: str, lease: timedelta) -> None:
        """Prolong the lease, and lock the cycle. Raises StaleToken when somebody else may have it."""
        mine = (collections.c.holder == holder) & (collections.c.held_until > func.clock_timestamp())
        if not await self._change(vault_id, mine, held_until=func.clock_timestamp() + lease):
            raise StaleToken

    async def release(self, vault_id: UUID, holder: str) -> None:
        await self._change(vault_id, collections.c.holder == holder, holder=None, held_until=None)

    async def cycle(self, vault_id: UUID) -> Cycle:
        row = (
            await self._session.execute(
                select(
                    collections.c.phase,
                    collections.c.cursor,
                    collections.c.state_generation,
                    vaults.c.gc_epoch,
                    select(func.coalesce(func.max(tasks.c.token), 0))
                    .where(self._mine(tasks, vault_id=vault_id))
                    .scalar_subquery()
                    .label("token"),
                )
                .join(vaults, (vaults.c.tenant_id == collections.c.tenant_id) & (vaults.c.id == collections.c.vault_id))
                .where(self._mine(collections, vault_id=vault_id))
            )
        ).one()
        return Cycle(Phase(row.phase), bytes(row.cursor), row.state_generation, row.token, row.gc_epoch)

    async def advance(self, vault_id: UUID, phase: Phase, cursor: bytes = b"") -> None:
        await self._change(vault_id, phase=str(phase), cursor=cursor)

    async def next_state(self, vault_id: UUID) -> int:
        await self._change(vault_id, state_generation=collections.c.state_generation + 1)
        return (await self.cycle(vault_id)).state_generation

    async def known_tasks(self, ids: Sequence[UUID]) -> dict[UUID, KnownTask]:
        """What is known of the tasks, and of the points that they became."""
        same = (restore_points.c.tenant_id == tasks.c.tenant_id) & (restore_points.c.id == tasks.c.id)
        rows = await self._session.execute(
            select(
                tasks.c.id,
                tasks.c.token,
                tasks.c.status,
                tasks.c.prepared_token,
                restore_points.c.token.label("point_token"),
            )
            .outerjoin(restore_points, same)
            .where(self._mine(tasks), tasks.c.id.in_(ids))
        )
        found = {}
        for row in rows:
            status = TaskStatus(row.status)
            succeeded = status is TaskStatus.COMPLETED
            found[row.id] = KnownTask(row.token, status in ENDED, succeeded, row.prepared_token, row.point_token)
        return found

    async def ended_points(self, vault_id: UUID) -> list[EndedPoint]:
        """Tombstones that are over and that nobody reads or builds on."""
        rows = await self._session.execute(
            select(restore_points.c.id, restore_points.c.manifest)
            .where(self._mine(restore_points, vault_id=vault_id, state=str(PointState.TOMBSTONED)))
            .where(
                restore_points.c.tombstoned_at < func.clock_timestamp() - (UNDO + UNDO_MARGIN), unpinned(restore_points)
            )
            .limit(AT_ONCE)
        )
        return [EndedPoint(row.id, row.manifest) for row in rows]

    async def cut(self, vault_id: UUID) -> None:
        """Note the cutoff: the oldest epoch of backups that have begun and not ended, else the current one."""
        current = await self._epoch(vault_id)
        cutoff = await self._oldest(vault_id, current)
        whole = collections.c.raised_at if cutoff == current else collections.c.collected_until
        await self._change(vault_id, cutoff=cutoff, collects_until=whole)
        await self.advance(vault_id, Phase.RAISING)

    async def raise_epoch(self, vault_id: UUID) -> None:
        """Begin the next epoch, and marking with nothing walked."""
        await self._session.execute(delete(walked_nodes).where(self._mine(walked_nodes, vault_id=vault_id)))
        await self._session.execute(
            update(vaults).where(self._mine(vaults, id=vault_id)).values(gc_epoch=vaults.c.gc_epoch + 1)
        )
        await self._change(vault_id, raised_at=func.clock_timestamp())
        await self.advance(vault_id, Phase.MARKING)

    async def roots(self, vault_id: UUID) -> list[bytes]:
        """Some roots that this cycle has not walked: of all points, tombstoned ones too, and of prepared tasks."""
        every = self._every_root(vault_id).subquery()
        rows = await self._session.scalars(
            select(every.c.root).where(~self._walked(vault_id, every.c.root)).limit(ROOTS)
        )
        return [bytes(root) for root in rows]

    def _every_root(self, vault_id: UUID) -> CompoundSelect[tuple[bytes]]:
        same = (point_disks.c.tenant_id == restore_points.c.tenant_id) & (point_disks.c.point_id == restore_points.c.id)
        of_points = (
            select(point_disks.c.root)
            .join(restore_points, same)
            .where(self._mine(restore_points, vault_id=vault_id), self._mine(point_disks))
        )
        disk = func.jsonb_array_elements(tasks.c.prepared["disks"]).table_valued("value").lateral()
        of_prepared: Select[tuple[bytes]] = (
            select(func.decode(disk.c.value.op("->>")("root"), "hex").label("root"))
            .select_from(tasks)
            .join(disk, text("true"))
            .where(self._mine(tasks, vault_id=vault_id), _RUNNING, tasks.c.prepared_token.is_not(None))
        )
        return union(of_points, of_prepared)

    async def unwalked(self, vault_id: UUID, nodes: Collection[bytes]) -> list[bytes]:
        walked = await self._session.scalars(
            select(walked_nodes.c.id).where(
                self._mine(walked_nodes, vault_id=vault_id), walked_nodes.c.id == ids_array(nodes)
            )
        )
        known = {bytes(node) for node in walked}
        return [node for node in nodes if node not in known]

    async def walked(self, vault_id: UUID, node: bytes) -> None:
        await self._session.execute(
            upsert(walked_nodes)
            .values(tenant_id=self._uow.tenant_id, vault_id=vault_id, id=node)
            .on_conflict_do_nothing()
        )

    async def mark(self, vault_id: UUID, ids: Collection[bytes]) -> set[bytes]:
        """Mark the generation in force of each id as used since the cutoff, hence reachable; returns those found."""
        locked = (
            select(chunks.c.id, chunks.c.generation)
            .where(self._mine(chunks, vault_id=vault_id, state="live"), chunks.c.id == ids_array(ids))
            .order_by(chunks.c.id, chunks.c.generation)
            .with_for_update()
            .cte("locked")
        )
        in_force = (
            select(locked.c.id, func.max(locked.c.generation).label("generation")).group_by(locked.c.id).cte("in_force")
        )
        rows = await self._session.scalars(
            update(chunks)
            .where(
                self._mine(chunks, vault_id=vault_id, state="live"),
                chunks.c.id == in_force.c.id,
                chunks.c.generation == in_force.c.generation,
            )
            .values(used_epoch=func.greatest(chunks.c.used_epoch, self._cutoff(vault_id)))
            .returning(chunks.c.id)
        )
        return {bytes(chunk_id) for chunk_id in rows}

    async def sweep(self, vault_id: UUID, after: bytes) -> bytes | None:
        """Take ``live → deleting`` what is older than the cutoff in one window of ids; its end, None at the last.

        The rows are locked in the order of their keys and looked at again under the lock: one that a backup just
        marked as used is not taken.
        """
        beyond = (self._mine(chunks, vault_id=vault_id), chunks.c.id > after)
        ends = select(chunks.c.id).where(*beyond).order_by(chunks.c.id, chunks.c.generation)
        end = await self._session.scalar(ends.offset(WINDOW - 1).limit(1))
        window = (*beyond, chunks.c.id <= end) if end is not None else beyond
        taken = (
            select(chunks.c.id, chunks.c.generation)
            .where(*window, chunks.c.state == "live", chunks.c.used_epoch < self._cutoff(vault_id))
            .order_by(chunks.c.id, chunks.c.generation)
            .with_for_update()
            .cte("taken")
        )
        await self._session.execute(
            update(chunks)
            .where(
                self._mine(chunks, vault_id=vault_id, state="live"),
                chunks.c.id == taken.c.id,
                chunks.c.generation == taken.c.generation,
            )
            .values(state="deleting")
        )
        return None if end is None else bytes(end)

    async def condemn(self, vault_id: UUID, objects: Sequence[StoredObject]) -> None:
        """Rows for objects that have none, ``deleting`` from the first."""
        epoch = await self._epoch(vault_id)
        rows = [
            {
                "tenant_id": self._uow.tenant_id,
                "vault_id": vault_id,
                "id": one.id,
                "generation": one.generation,
                "type": one.type.catalogue_type,
                "state": "deleting",
                "used_epoch": epoch,
                "plain_bytes": one.plain_bytes,
                "stored_bytes": one.stored_bytes,
            }
            for one in sorted(objects, key=lambda one: (one.id, one.generation))
        ]
        if rows:
            await self._session.execute(upsert(chunks).values(rows).on_conflict_do_nothing())

    async def deleting(self, vault_id: UUID, limit: int) -> list[StoredObject]:
        rows = await self._session.execute(
            select(chunks).where(self._mine(chunks, vault_id=vault_id, state="deleting")).limit(limit)
        )
        return [
            StoredObject(
                bytes(row.id),
                row.generation,
                ObjectType.CHUNK if row.type == "chunk" else ObjectType.PAGE,
                row.plain_bytes,
                row.stored_bytes,
            )
            for row in rows
        ]

    async def deleted(self, vault_id: UUID, objects: Sequence[StoredObject]) -> None:
        """Their objects are gone, in the epoch that is current now."""
        keys = [(one.id, one.generation) for one in objects]
        await self._session.execute(
            update(chunks)
            .where(self._mine(chunks, vault_id=vault_id, state="deleting"))
            .where(tuple_(chunks.c.id, chunks.c.generation).in_(keys))
            .values(state="deleted", used_epoch=await self._epoch(vault_id))
        )
        await self._change(
            vault_id,
            objects_deleted=collections.c.objects_deleted + len(objects),
            bytes_deleted=collections.c.bytes_deleted + sum(one.stored_bytes for one in objects),
        )

    async def forget(self, vault_id: UUID) -> int:
        """Remove rows of gone objects, each once every task that ran while its object was deleted has ended (O6)."""
        oldest = await self._oldest(vault_id, await self._epoch(vault_id))
        some = (
            select(chunks.c.id, chunks.c.generation)
            .where(self._mine(chunks, vault_id=vault_id, state="deleted"), chunks.c.used_epoch < oldest)
            .limit(AT_ONCE)
        )
        return await self._uow.count_changed(
            delete(chunks)
            .where(self._mine(chunks, vault_id=vault_id, state="deleted"))
            .where(tuple_(chunks.c.id, chunks.c.generation).in_(some))
        )

    async def finish(self, vault_id: UUID) -> None:
        await self._change(vault_id, finished_at=func.clock_timestamp(), collected_until=collections.c.collects_until)
        await self.advance(vault_id, Phase.FINISHED)

    async def totals(self, vault_id: UUID) -> tuple[int, int, float]:
        """Objects and bytes that the last cycle deleted, and its seconds from begin to end."""
        row = (
            await self._session.execute(
                select(
                    collections.c.objects_deleted,
                    collections.c.bytes_deleted,
                    func.extract("epoch", collections.c.finished_at - collections.c.started_at),
                ).where(self._mine(collections, vault_id=vault_id))
            )
        ).one()
        return int(row[0]), int(row[1]), float(row[2])

    async def _change(self, vault_id: UUID, *also: ColumnElement[bool], **values: object) -> bool:
        return (
            await self._uow.count_changed(
                update(collections).where(self._mine(collections, vault_id=vault_id), *also).values(values)
            )
            == 1
        )

    async def _epoch(self, vault_id: UUID) -> int:
        return int(await self._session.scalar(select(vaults.c.gc_epoch).where(self._mine(vaults, id=vault_id))) or 0)

    async def _oldest(self, vault_id: UUID, current: int) -> int:
        """Only backups write; a removal can be under way for as long as its host is away."""
        found = await self._session.scalar(
            select(func.min(tasks.c.used_epoch)).where(
                self._mine(tasks, vault_id=vault_id, kind=str(TaskKind.BACKUP)), _RUNNING
            )
        )
        return current if found is None else min(int(found), current)

    def _cutoff(self, vault_id: UUID) -> ColumnElement[int]:
        return select(collections.c.cutoff).where(self._mine(collections, vault_id=vault_id)).scalar_subquery()

    def _walked(self, vault_id: UUID, node: ColumnElement[bytes]) -> ColumnElement[bool]:
        return exists(select(walked_nodes.c.id).where(self._mine(walked_nodes, vault_id=vault_id, id=node)))
