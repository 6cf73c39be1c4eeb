"""Exports what a service keeps of one organization: every table that names it, one JSON object a line, of one moment.

What is left out is named with its reason, table by table and column by column. A column that looks like a secret is
left out even where nobody has thought of it, until the plan says why it may be shown.
"""

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Column, LargeBinary, MetaData, Table, text
from sqlalchemy.ext.asyncio import AsyncSession

from common.errors import TooMany
from common.persistence.store import Store

ROWS = 200
"""Rows that are in memory at once; what is longest of them are some KiB."""

AT_ONCE = 2
"""Exports of one process: each keeps a connection of the tenants' door, and an old snapshot, while it lasts."""

COME_AGAIN = timedelta(seconds=30)

MEDIA_TYPE = "application/x-ndjson"

_SECRET = re.compile(r"hash|hmac|seal|secret|token|passw|nonce|verifier|private|totp|(?:^|_)keys?(?:_|$)")
_IN_UTC = text("select set_config('TimeZone', 'UTC', true)")
_SCHEMA = text("select version_num from alembic_version")


class TooManyExports(TooMany):
    code = "too_many_exports"
    en = "An export is running already. Come again when it has ended."
    fr = "Un export est déjà en cours. Revenez quand il sera terminé."


def looks_secret(column: Column[Any]) -> bool:
    """Whether a column's name or type says that it may hold a secret."""
    return _SECRET.search(column.name) is not None or isinstance(column.type, LargeBinary)


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """What is exported of one service.

    Attributes:
        metadata: Its tables.
        whose: Table that is exported → its column that says whose a row is.
        left_out: Table → why none of its rows are exported.
        withheld: ``table.column`` → why it is not.
        shown: ``table.column`` that looks like a secret → why it is none.
    """

    metadata: MetaData
    whose: Mapping[str, str]
    left_out: Mapping[str, str]
    withheld: Mapping[str, str]
    shown: Mapping[str, str]

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables that are exported, those that others refer to first."""
        return tuple(table for table in self.metadata.sorted_tables if table.name in self.whose)

    def columns(self, table: Table) -> list[str]:
        """The columns of a table that are exported."""
        return [column.name for column in table.c if self._is_exported(f"{table.name}.{column.name}", column)]

    def _is_exported(self, name: str, column: Column[Any]) -> bool:
        return name not in self.withheld and (name in self.shown or not looks_secret(column))

    def statement(self, table: Table) -> str:
        """Return the SQL that reads an owner's rows as JSON; all of it is written in our own code."""
        columns = ", ".join(f'"{name}"' for name in self.columns(table))
        key = ", ".join(f'"{column.name}"' for column in table.primary_key)
        rows = f"select {columns} from {table.name} where {self.whose[table.name]} = :subject order by {key}"  # noqa: S608
        return f"select row_to_json(r)::text from ({rows}) r"  # noqa: S608


LEFT_OUT = {
    "outbox": "facts on their way to other services, of which the rows here tell the same",
    "inbox": "copies of other services' facts, which those services export themselves",
    "idempotency_keys": "answers that were given already, once more, a new key's secret among them",
}

WITHHELD = {
    "mails.body_text": "has links that let in whoever follows them",
    "mails.body_html": "has links that let in whoever follows them",
}

SHOWN = {
    "mails.key": "which mail it is, so that none is sent twice",
    "audit_log.content_hash": "the seal by which the log can be checked",
    "audit_log.hash": "the seal by which the log can be checked",
}


def export_of(
    metadata: MetaData,
    *,
    left_out: Mapping[str, str],
    withheld: Mapping[str, str],
    shown: Mapping[str, str] | None = None,
) -> ExportPlan:
    """Return the plan of every table with tenants' rows, but for those that are left out.

    Args:
        metadata: The service's tables, those of the mechanisms among them.
        left_out: See `ExportPlan`, as for the others; those of the mechanisms are added.
        withheld: Columns.
        shown: Columns.
    """
    left = {**LEFT_OUT, **left_out}
    named = (table.name for table in metadata.sorted_tables if "tenant_id" in table.c)
    whose = {name: "tenant_id" for name in named if name not in left}
    return ExportPlan(metadata, whose, left, {**WITHHELD, **withheld}, {**SHOWN, **(shown or {})})


async def export_lines(
    session: AsyncSession, plan: ExportPlan, subject_id: UUID, head: Mapping[str, Any]
) -> AsyncGenerator[bytes, None]:
    """Yield the lines of an export, some at a time: what it is, each row, and at last how many rows there were.

    A stream that does not end with the line ``{"end": …}`` was cut and is not the whole.

    Args:
        session: Of a transaction that reads one moment, through the door of whoever's rows they are.
        plan: What is exported.
        subject_id: Whose rows.
        head: What the first line says besides.
    """
    await session.execute(_IN_UTC)
    yield _line({"export": {**head, "left_out": plan.left_out, "withheld": plan.withheld}})
    counts = {}
    for table in plan.tables:
        counts[table.name] = 0
        start = f'{{"table": "{table.name}", "row": '
        options = {"yield_per": ROWS}
        found = await session.stream_scalars(
            text(plan.statement(table)), {"subject": subject_id}, execution_options=options
        )
        async for rows in found.partitions():
            counts[table.name] += len(rows)
            yield "".join(f"{start}{row}}}\n" for row in rows).encode()
    yield _line({"end": {"rows": sum(counts.values()), "tables": counts}})


def _line(said: Mapping[str, Any]) -> bytes:
    return (json.dumps(said, ensure_ascii=False) + "\n").encode()


class Exporter:
    """Exports one service's rows to their owners.

    Args:
        store: The service's doors.
        plan: What is exported.
        service: Its name.
        at_once: How many exports run in this process.
    """

    def __init__(self, store: Store[Any], plan: ExportPlan, *, service: str, at_once: int = AT_ONCE) -> None:
        self._store = store
        self._plan = plan
        self._service = service
        self._at_once = at_once
        self._running: set[UUID] = set()

    @asynccontextmanager
    async def of(self, tenant_id: UUID, *, actor: UUID) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """Open an export; closed, it leaves no transaction behind, however far it came.

        That it was taken is in the audit log before the first row is read, in a commit of its own: whoever breaks off
        just before the last line has everything, and a rollback would have forgotten it. The export has that entry.

        Raises:
            TooManyExports: The organization's own, or as many as there may be, are running.
        """
        if tenant_id in self._running or len(self._running) >= self._at_once:
            raise TooManyExports(retry_after=COME_AGAIN)
        self._running.add(tenant_id)
        try:
            async with self._store.for_tenant(tenant_id) as uow:
                await uow.audit("organization.exported", str(tenant_id), actor=actor)
            async with self._store.for_tenant(tenant_id, snapshot=True) as uow:
                head = {
                    "service": self._service,
                    "organization": str(tenant_id),
                    "schema": await uow.session.scalar(_SCHEMA),
                    "at": uow.clock.now().isoformat(),
                }
                async with aclosing(export_lines(uow.session, self._plan, tenant_id, head)) as lines:
                    yield lines
        finally:
            self._running.discard(tenant_id)
