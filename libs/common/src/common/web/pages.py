"""Lists by cursor: ``{"results": […], "next": cursor or null}``. A cursor is opaque to the caller."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel

from common.errors import Invalid

T = TypeVar("T")
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
