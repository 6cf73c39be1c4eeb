"""Rows to domain objects and back, by field name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from common.persistence import Transaction
from sqlalchemy import ColumnElement, Table, and_
from sqlalchemy.engine import RowMapping

T = TypeVar("T")


def build(kind: type[T], row: RowMapping | Mapping[str, Any], /, **more: Any) -> T:
    """An object of ``kind`` from the columns that are named like its fields; ``more`` gives what the row lacks."""
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # every kind here is a dataclass
    plain = {name: row[name] for name in names - more.keys() if name in row}
    return kind(**plain, **more)


class Repository:
    """What every repository has: its transaction. Rows are the tenant's own by row-level security *and* by key."""

    def __init__(self, uow: Transaction) -> None:
        self._uow = uow
        self._session = uow.session

    def _mine(self, table: Table, **keys: Any) -> ColumnElement[bool]:
        """The composite key of a row of this tenant."""
        return and_(
            table.c.tenant_id == self._uow.tenant_id,
            *(table.c[name] == value for name, value in keys.items()),
        )
