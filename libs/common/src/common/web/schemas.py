"""What request and answer models derive from."""

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


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


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_has_nul(inner) for item in value.items() for inner in item)
    return isinstance(value, list) and any(map(_has_nul, value))


class Answer(BaseModel):
    """An answer; it may gain fields."""

    model_config = ConfigDict(frozen=True, from_attributes=True)
