"""The envelope of an event: CloudEvents names (https://github.com/cloudevents/spec), as the contract fixes them."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict


class Envelope(BaseModel):
    """One event on its way. Unknown attributes are accepted and dropped: producers may add."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: UUID
    source: str
    type: str
    time: AwareDatetime
    subject: str
    tenantid: UUID | None
    region: str = "default"
    correlationid: str | None = None
    causationid: str | None = None
    traceparent: str | None = None
    dataschema: str
    aggregateversion: int
    data: dict[str, Any]

    @property
    def occurred_at(self) -> datetime:
        """When it happened, by its owner's clock."""
        return self.time


_current: ContextVar[Envelope | None] = ContextVar("current_envelope", default=None)


def current_envelope() -> Envelope | None:
    """Return the event that is being handled: the cause of what is published meanwhile."""
    return _current.get()


@contextmanager
def handling(envelope: Envelope) -> Iterator[None]:
    """Make ``envelope`` the cause of whatever is published inside."""
    token = _current.set(envelope)
    try:
        yield
    finally:
        _current.reset(token)
