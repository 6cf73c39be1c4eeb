"""Whether a delivery is what it says it is, and what is kept of one that is not."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from uuid import NAMESPACE_OID, UUID, uuid5

from pydantic import ValidationError

from common.messaging.envelope import Envelope


class Refused(Exception):
    """A delivery that is no event, or not its publisher's own; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as the broker vouches for it.

    Attributes:
        body: What the publisher sent.
        publisher: The publishing user; the broker has checked it.
        exchange: Through which exchange it came.
    """

    body: bytes
    publisher: str | None
    exchange: str | None

    def envelope(self) -> Envelope:
        """Return the event.

        The exchange is looked at besides the user: a genuine fact that somebody kept and releases later through an
        exchange of his own (by dead-lettering, which keeps the user) is not one that its owner sends.

        Raises:
            Refused: It is none, or somebody else's than the publisher's.
        """
        try:
            envelope = Envelope.model_validate_json(self.body)
        except ValidationError as error:
            raise Refused("not an event") from error
        if self.publisher != envelope.source or self.exchange != f"events.{envelope.source}":
            raise Refused("source is not the publishing user")
        return envelope

    @property
    def key(self) -> UUID:
        """An id of its own: the one that a forged event claims may be a genuine one's."""
        return uuid5(NAMESPACE_OID, f"{self.publisher} {self.exchange} {sha256(self.body).hexdigest()}")


Park = Callable[[Delivery, str], Awaitable[None]]
"""Stores a refused delivery durably with the reason."""
