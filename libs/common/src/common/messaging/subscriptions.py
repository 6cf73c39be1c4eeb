"""Which facts of others a service takes in, and what it does about each."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel

from common.messaging.envelope import Envelope

Handler = Callable[[Any, Any, Envelope], Awaitable[None]]
Follower = Callable[[Any, Envelope], Awaitable[None]]
H = TypeVar("H", bound=Callable[..., Awaitable[None]])


@dataclass(frozen=True, slots=True)
class Subscription:
    """One event type of one source. Without a handler it is only kept, for those who read the inbox.

    ``of_nobody``: whether the handler also takes facts that name no organization. Any other fact without one is parked.
    """

    source: str
    reader: type[BaseModel] | None
    handler: Handler | None
    type: str
    of_nobody: bool = False

    @property
    def takes_nobodys(self) -> bool:
        """Whether a fact that names no organization has a place here; to keep one, none is needed."""
        return self.handler is None or self.of_nobody


class Subscriptions:
    """The facts that one consumer takes in.

    Args:
        consumer: The consumer's name, the first half of the inbox's key.
    """

    def __init__(self, consumer: str) -> None:
        self.consumer = consumer
        self.follower: Follower | None = None
        self._by_key: dict[tuple[str, str], Subscription] = {}

    def on(self, name: str, *, source: str, version: int = 1, of_nobody: bool = False) -> Callable[[H], H]:
        """Register a handler ``(event, uow, envelope)``.

        ``event`` is annotated with the consumer's own reader model, which declares only the fields it reads.

        Args:
            name: Of the fact.
            source: Whose fact it is.
            version: Of the fact.
            of_nobody: Whether it takes facts of nobody's organization too. For these ``uow`` is open for the door
                ``inbox``, which sees no tenant's rows but the inbox's own.
        """

        def register(handler: H) -> H:
            first = next(iter(inspect.signature(handler).parameters))
            reader = get_type_hints(handler)[first]
            self._add(Subscription(source, reader, handler, f"{name}.v{version}", of_nobody))
            return handler

        return register

    def keep(self, name: str, *, source: str, version: int = 1, reader: type[BaseModel] | None = None) -> None:
        """Take a fact in without acting on it; ``reader`` is what whoever looks at it later reads of it."""
        self._add(Subscription(source, reader, None, f"{name}.v{version}"))

    def after_each(self, follower: Follower) -> None:
        """Have ``(uow, envelope)`` called after every fact of a tenant, kept ones too, in the fact's transaction."""
        self.follower = follower

    def _add(self, subscription: Subscription) -> None:
        key = (subscription.source, subscription.type)
        if key in self._by_key:
            msg = f"{key} is subscribed twice"
            raise ValueError(msg)
        self._by_key[key] = subscription

    def find(self, source: str, event_type: str) -> Subscription | None:
        """Return the subscription of an event type, if there is one."""
        return self._by_key.get((source, event_type))

    def all(self) -> tuple[Subscription, ...]:
        """Return every subscription, in the order of registration."""
        return tuple(self._by_key.values())
