"""Erases a deleted organization: each service says, table by table, what is deleted, emptied or kept and why.

The erasing is repeated until nothing is found: facts that still waited, mails on their way and rows without a seal
go at a later turn. The report says how many rows went from where.
"""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select, text, update

from common.persistence.mechanisms import erasures
from common.persistence.scope import TENANT_SETTING
from common.persistence.store import Store

log = logging.getLogger(__name__)

PAUSE = timedelta(minutes=1)
AT_ONCE = 20
ROUNDS = 5
"""Goes at one organization in a turn: objects, rows, and a look that nothing is left; more where tasks still run."""

MINE = f"(select nullif(current_setting('{TENANT_SETTING}', true), '')::uuid)"


@dataclass(frozen=True, slots=True)
class Target:
    """Rows of one table that go, or lose what they say.

    Attributes:
        table: Its name.
        where: Which of the tenant's rows, as SQL; all unless said.
        empty: Column → SQL value for rows that stay; ``None`` deletes them.
        column: The column that names the tenant.
    """

    table: str
    where: str = "true"
    empty: Mapping[str, str] | None = None
    column: str = "tenant_id"

    def statement(self) -> str:
        """Return the SQL; all of it is written in our own code."""
        rows = f"{self.column} = {MINE} and ({self.where})"
        if self.empty is None:
            return f"delete from {self.table} where {rows}"  # noqa: S608
        values = ", ".join(f"{column} = {value}" for column, value in self.empty.items())
        return f"update {self.table} set {values} where {rows}"  # noqa: S608


@dataclass(frozen=True, slots=True)
class ErasurePlan:
    """What becomes of each table with tenants' rows.

    Attributes:
        targets: In the order in which they go: what refers to others first.
        kept: Table → why rows of it stay, emptied or not.
    """

    targets: tuple[Target, ...]
    kept: Mapping[str, str]

    @property
    def tables(self) -> frozenset[str]:
        """Every table about which something is decided."""
        return frozenset(self.kept) | {target.table for target in self.targets}


MECHANISMS = (
    Target("outbox", where="published_at is not null"),
    Target("inbox", where="status in ('done', 'dropped')"),
    Target("mails", where="sent_at is not null"),
    Target("idempotency_keys", column="scope_id"),
    Target(
        "audit_log",
        where="number is not null and erased_at is null",
        empty={"details": "'{}'", "reason": "''", "address": "null", "erased_at": "now()"},
    ),
)

MECHANISMS_KEPT = {
    "audit_log": "that something was done, by ids only; the chain keeps the hash of what it said",
    "erasures": "that and when it was erased",
}


def plan_of(*targets: Target, kept: Mapping[str, str]) -> ErasurePlan:
    """Return a service's plan with that of the mechanism tables."""
    return ErasurePlan((*targets, *MECHANISMS), {**MECHANISMS_KEPT, **kept})


Outside = Callable[[UUID], Awaitable[int]]
"""Erases what is not in the database, returns how many things went, and may be repeated."""


class Eraser:
    """Timer of every worker with a database.

    Args:
        store: The service's doors.
        plan: What goes.
        outside: What goes that is not in the database; it goes first, while the rows still say where it is.
    """

    def __init__(self, store: Store[Any], plan: ErasurePlan, outside: Outside | None = None) -> None:
        self._store = store
        self._plan = plan
        self._outside = outside

    async def turn(self) -> None:
        """Erase what waits; one organization that cannot be erased keeps no other waiting."""
        async with self._store.for_system("eraser") as uow:
            waiting = select(erasures.c.tenant_id).where(erasures.c.finished_at.is_(None))
            tenants = (await uow.session.scalars(waiting.order_by(erasures.c.requested_at).limit(AT_ONCE))).all()
        for tenant_id in tenants:
            try:
                for _ in range(ROUNDS):
                    if not await self.erase(tenant_id):
                        break
            except Exception:
                log.exception("organization %s could not be erased", tenant_id)

    async def erase(self, tenant_id: UUID) -> dict[str, int]:
        """Erase once and return what went; an organization of which nothing is left is finished."""
        gone: Counter[str] = Counter()
        if self._outside is not None:
            gone["outside"] = await self._outside(tenant_id)
        if gone["outside"]:
            # The rows go when nothing is found any more where they point.
            return await self._report(tenant_id, gone, finished=False)
        async with self._store.for_erasure(tenant_id) as uow:
            for target in self._plan.targets:
                gone[target.table] += await uow.count_changed(text(target.statement()))
            left = [target.table for target in self._plan.targets if await self._is_left(uow, target)]
        return await self._report(tenant_id, gone, finished=not left and not any(gone.values()))

    async def _report(self, tenant_id: UUID, gone: Counter[str], *, finished: bool) -> dict[str, int]:
        went = {name: count for name, count in gone.items() if count}
        async with self._store.for_system("eraser") as uow:
            row = erasures.c.tenant_id == tenant_id
            report = Counter(await uow.session.scalar(select(erasures.c.report).where(row).with_for_update()) or {})
            report.update(went)
            values: dict[str, Any] = {"report": dict(report)}
            if finished:
                values["finished_at"] = uow.clock.now()
            await uow.session.execute(update(erasures).where(row).values(values))
        return went

    @staticmethod
    async def _is_left(uow: Any, target: Target) -> bool:
        if target.empty is not None:
            return False
        found = f"select 1 from {target.table} where {target.column} = {MINE} limit 1"  # noqa: S608
        return bool(await uow.session.scalar(text(found)))
