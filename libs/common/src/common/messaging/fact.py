"""A fact in the past tense, as its owner publishes it."""

from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict


def schema_uri(event_type: str) -> str:
    """Return where the schema of an event type is: the file name in its owner's ``contracts/events/``."""
    return f"events/{event_type}.json"


class Fact(BaseModel):
    """Payload of one event type; ``name`` is ``noun.verbed``, and within a ``version`` only additions happen.

    Payloads carry ids, not names or addresses of people, except where a consumer cannot act without them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str]
    version: ClassVar[int] = 1
    is_state: ClassVar[bool] = False
    """A state carries the whole state, and older versions of it are ignored; other facts are never dropped."""

    @classmethod
    def event_type(cls) -> str:
        """Return the CloudEvents type, such as ``payment.confirmed.v1``."""
        return f"{cls.name}.v{cls.version}"

    @classmethod
    def schema_uri(cls) -> str:
        """Return where the payload's schema is."""
        return schema_uri(cls.event_type())

    @classmethod
    def example(cls) -> Self:
        """Return an instance for the contract files; every fact has one."""
        raise LookupError(cls.name)
