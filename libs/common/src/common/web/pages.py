"""Lists by cursor: ``{"results": […], "next": cursor or null}``. A cursor is opaque to the caller."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from fastapi import Depends, Query
from pydantic import BaseModel

from common.errors import Invalid

T = TypeVar("T")
R = TypeVar("R")
DEFAULT_LIMIT = 50
LARGEST_LIMIT = 200


class InvalidCursor(Invalid):
    code = "invalid_cursor"
    en = "This cursor is not one of ours. Start again without it."
    fr = "Ce curseur n'est pas valide. Recommencez sans curseur."


class Page(BaseModel, Generic[T]):
    """One page of a list."""

    results: list[T]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next page starts: the sort key of the last row of this one."""

    position: tuple[Any, ...]

    def encode(self) -> str:
        """Return the text for the caller."""
        packed = json.dumps(self.position, default=str, separators=(",", ":"))
        return base64.urlsafe_b64encode(packed.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str | None) -> "Cursor | None":
        """Return the cursor of a caller's text; ``None`` for none.

        Raises:
            InvalidCursor: It is not one that `encode` made.
        """
        if text is None:
            return None
        try:
            position = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        except (binascii.Error, ValueError):
            raise InvalidCursor from None
        if not isinstance(position, list):
            raise InvalidCursor
        return cls(tuple(position))

    def row_id(self) -> UUID:
        """Return the id where the list's sort key is one.

        Raises:
            InvalidCursor: It is another list's cursor, or nobody's.
        """
        try:
            (row_id,) = self.position
            return UUID(row_id)
        except (AttributeError, TypeError, ValueError):
            raise InvalidCursor from None


@dataclass(frozen=True, slots=True)
class Paging:
    """Which page a caller wants, and how it is made of rows.

    Attributes:
        start: Where it starts; ``None`` at the beginning.
        limit: How many rows it shows at most.
    """

    start: Cursor | None
    limit: int

    @property
    def after(self) -> UUID | None:
        """The id after which the page starts, where the list's sort key is one. Raises InvalidCursor."""
        return self.start.row_id() if self.start else None

    @property
    def rows(self) -> int:
        """How many rows to read: one more than is shown, to know whether another page follows."""
        return self.limit + 1

    def page(self, rows: Sequence[R], shown: Callable[[R], T], position: Callable[[R], tuple[Any, ...]]) -> Page[T]:
        """Return the page of what was read.

        Args:
            rows: At most `rows` of them.
            shown: Makes the answer of a row.
            position: Tells the sort key of a row.
        """
        last = rows[self.limit - 1] if len(rows) > self.limit else None
        following = None if last is None else Cursor(tuple(map(str, position(last)))).encode()
        return Page[Any](results=[shown(row) for row in rows[: self.limit]], next=following)


async def _paging(
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=LARGEST_LIMIT)] = DEFAULT_LIMIT,
) -> Paging:
    return Paging(Cursor.decode(cursor), limit)


PagingDep = Annotated[Paging, Depends(_paging)]
