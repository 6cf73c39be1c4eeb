"""Lists, newest first, a page at a time: ids grow with time, so the last one of a page says where the next begins."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Select, Table, select


def newest_first(
    table: Table, after: UUID | None, limit: int, equal: Mapping[Column[Any], Any] | None = None
) -> Select[Any]:
    """Return the query for at most ``limit`` rows that are older than ``after``.

    Args:
        table: One whose ``id`` is a UUID of version 7.
        after: The last row of the page before.
        limit: How many.
        equal: What columns must say; those that are to be ``None`` say anything.
    """
    query = select(table).order_by(table.c.id.desc()).limit(limit)
    query = query.where(*(column == value for column, value in (equal or {}).items() if value is not None))
    return query if after is None else query.where(table.c.id < after)
