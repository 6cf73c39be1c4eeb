"""What request and answer models derive from."""

from pydantic import BaseModel, ConfigDict


class Body(BaseModel):
    """A request body; an unknown field is an error of the caller's and answered so."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class Answer(BaseModel):
    """An answer; it may gain fields."""

    model_config = ConfigDict(frozen=True, from_attributes=True)
