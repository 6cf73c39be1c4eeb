"""What request and answer models derive from."""

import unicodedata
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

JOINERS = "\u200c\u200d"
"""Without a width of their own, and part of how Persian, Hindi and emoji are written."""


class Body(BaseModel):
    """A request body; an unknown field is an error of the caller's and answered so, and so is a NUL in any text."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    @model_validator(mode="before")
    @classmethod
    def _storable(cls, given: Any) -> Any:
        """Refuse what PostgreSQL cannot keep as text (its manual, «Character Types»: no code point zero)."""
        if isinstance(given, dict):
            found = [name for name, value in given.items() if _has_nul(name) or _has_nul(value)]
            if found:
                names = ", ".join(str(name).replace("\0", "") for name in found)
                raise ValueError(f"the character NUL (\\u0000) is not allowed: {names}")
        return given


def _one_line(given: Any) -> Any:
    if not isinstance(given, str) or "\0" in given:
        return given
    line = " ".join(given.split())
    seen = "".join(sign for sign in line if unicodedata.category(sign) not in {"Cc", "Cf"} or sign in JOINERS)
    return " ".join(seen.split()) if seen.strip(JOINERS + " ") else ""


OneLine = Annotated[str, BeforeValidator(_one_line)]
"""What people call something: no line breaks, which would end a mail's header or a line of a file, and nothing that
nobody sees or that turns what follows around (Unicode categories Cc and Cf). What is then empty has no name.
"""


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_has_nul(inner) for item in value.items() for inner in item)
    return isinstance(value, list) and any(map(_has_nul, value))


class Answer(BaseModel):
    """An answer; it may gain fields."""

    model_config = ConfigDict(frozen=True, from_attributes=True)
