"""pyvmomi's SOAP over our own dialled and pinned connections, with bounds on what a host may answer.

Not here: sessions and retries (`session.py`), what is asked.
"""

import http.client
import threading
import time
from typing import Any

from backup_engine.adapters.vsphere.dialer import PinnedHost
from backup_engine.adapters.vsphere.faults import UnsafeAnswer
from backup_engine.adapters.vsphere.vmodl import VERSIONS, SoapStubAdapter

MOST_ANSWER_BYTES = 32 << 20
"""An inventory of 10 000 VMs, read page by page, stays far below; more is an attack on memory."""

IDLE_SECONDS = 20.0
"""Hosts close idle connections after half a minute and more; a connection older than this is not used again."""

OLDEST_VERSION = "vim.version.version11"
"""6.5: the first with every property that is read."""

_FORBIDDEN = (b"<!DOCTYPE", b"<!ENTITY")


class BoundedResponse(http.client.HTTPResponse):
    """An answer that is cut off when it is too long, too late, or defines entities."""

    deadline = float("inf")
    takes_cookie = False
    _seen = 0
    _tail = b""

    def read(self, amt: int | None = None) -> bytes:
        """As the parent's. Raises UnsafeAnswer, TimeoutError."""
        if time.monotonic() > self.deadline:
            raise TimeoutError
        data = super().read(MOST_ANSWER_BYTES + 1 if amt is None or amt < 0 else amt)
        self._seen += len(data)
        if self._seen > MOST_ANSWER_BYTES:
            raise UnsafeAnswer(f"more than {MOST_ANSWER_BYTES >> 20} MiB")
        # Without its zero bytes UTF-16 reads as ASCII: the XML parser would accept it as well.
        window = self._tail + data.replace(b"\0", b"")
        if any(word in window for word in _FORBIDDEN):
            raise UnsafeAnswer("it has a document type")
        self._tail = window[-16:]
        return data

    def getheader(self, name: str, default: Any = None) -> Any:
        """As the parent's, but session cookies are taken from the answers to log-ins only.

        A call that finds its session expired is answered with the cookie of a new, unauthenticated one; arriving late,
        it would displace the session that another thread has just logged in.
        """
        return default if name.lower() == "set-cookie" and not self.takes_cookie else super().getheader(name, default)


class PinnedConnection(http.client.HTTPConnection):
    """HTTP over a connection that the dialer's pin has accepted."""

    response_class = BoundedResponse

    def __init__(self, pinned: PinnedHost, timeout_seconds: float) -> None:
        super().__init__(pinned.host.strip("[]"), pinned.port, timeout=timeout_seconds)
        self._pinned = pinned

    def connect(self) -> None:
        """Called by the parent when there is no connection yet."""
        self.sock = self._pinned.connect(self.timeout or 60.0)


class PinnedStub(SoapStubAdapter):  # type: ignore[misc]  # made at import, without types
    """A stub whose connections come from the dialer; one for a session, used by several threads.

    `prepare` says how the calls of the current thread are made.
    """

    def __init__(self, pinned: PinnedHost, version: str = OLDEST_VERSION) -> None:
        super().__init__(
            host=pinned.host.strip("[]"),
            port=pinned.port,
            version=version,
            poolSize=8,
            connectionPoolTimeout=IDLE_SECONDS,
            # What is inflated here would pass the bound uncounted.
            acceptCompressedResponses=False,
        )
        self._pinned = pinned
        self._calls = threading.local()
        self._closed = False

    def prepare(self, *, seconds: float, takes_cookie: bool = False) -> None:
        """For this thread's next calls: how long each may take, and whether it opens a session."""
        self._calls.seconds = seconds
        self._calls.takes_cookie = takes_cookie

    def close(self) -> None:
        """End all connections: those in the pool now, and those in use by threads when they come back."""
        self._closed = True
        self.DropConnections()

    def ReturnConnection(self, connection: PinnedConnection) -> None:  # noqa: N802 - pyvmomi's name
        """Into the pool; that of a call which nobody waited for any more comes after the end."""
        super().ReturnConnection(connection)
        if self._closed:
            self.DropConnections()

    def GetConnection(self) -> PinnedConnection:  # noqa: N802 - pyvmomi's name
        """From the pool or new, in the manner that this thread prepared."""
        seconds = getattr(self._calls, "seconds", 60.0)
        with self.lock:
            self._CloseIdleConnections()
            connection = self.pool.pop(0)[0] if self.pool else PinnedConnection(self._pinned, seconds)
        connection.timeout = seconds
        if connection.sock is not None:
            connection.sock.settimeout(seconds)
        manner = {
            "deadline": time.monotonic() + seconds,
            "takes_cookie": getattr(self._calls, "takes_cookie", False),
        }
        connection.response_class = type("Bounded", (BoundedResponse,), manner)
        return connection


def newest_common_version(api_version: str) -> str:
    """Pyvmomi's version that both sides speak: a host refuses one that is newer than itself."""
    wanted = _numbers(api_version)
    known = [
        (numbers, version)
        for version, text in VERSIONS.items()
        if version.startswith("vim.version.") and (numbers := _numbers(text))
    ]
    fitting = [entry for entry in known if entry[0] <= wanted]
    return str(max(fitting)[1]) if fitting else OLDEST_VERSION


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.split(".")
    numbers = tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else ()
    return (*numbers, *([0] * (4 - len(numbers)))) if numbers else ()
