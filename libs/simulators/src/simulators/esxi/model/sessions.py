"""Sessions of the host: one id by cookie, an idle limit, one-time tickets for datastore files."""

import secrets
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime

IDLE_SECONDS = 1800.0
TICKET_SECONDS = 120.0


@dataclass
class Session:
    """A cookie; `user` is None until a login succeeded."""

    key: str
    user: str | None = None
    seen: float = field(default_factory=time.monotonic)
    since: datetime = field(default_factory=lambda: datetime.now(UTC))


CURRENT: ContextVar[Session | None] = ContextVar("current session", default=None)
"""The session of the call under way."""


class Sessions:
    """All sessions; an unknown, idle or ended one is simply not there."""

    def __init__(self, username: str, password: str, *, idle_seconds: float = IDLE_SECONDS) -> None:
        self._username, self._password = username, password
        self._idle = idle_seconds
        self._by_key: dict[str, Session] = {}
        self._tickets: dict[str, float] = {}

    def accepts(self, username: str, password: str) -> bool:
        right = secrets.compare_digest(password.encode(), self._password.encode())
        return right and username == self._username

    def open(self) -> Session:
        """A session nobody has logged in to yet."""
        session = Session(secrets.token_hex(20))
        self._by_key[session.key] = session
        return session

    def find(self, key: str) -> Session | None:
        session = self._by_key.get(key)
        if session is None:
            return None
        if session.user is not None and time.monotonic() - session.seen > self._idle:
            del self._by_key[key]
            return None
        session.seen = time.monotonic()
        return session

    def authenticated(self) -> list[Session]:
        return [session for session in self._by_key.values() if session.user is not None]

    def end(self, key: str) -> None:
        self._by_key.pop(key, None)

    def expire_all(self) -> int:
        """End every session at once; how many there were."""
        count = len(self.authenticated())
        self._by_key.clear()
        self._tickets.clear()
        return count

    def issue_ticket(self) -> str:
        """A ticket that opens one datastore file request within two minutes."""
        ticket = secrets.token_hex(16)
        self._tickets[ticket] = time.monotonic() + TICKET_SECONDS
        return ticket

    def redeem_ticket(self, ticket: str) -> bool:
        """Whether the ticket is good; it is gone afterwards."""
        return self._tickets.pop(ticket, 0.0) > time.monotonic()
