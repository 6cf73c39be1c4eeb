"""The body of a client's request, taken in as it comes and never more than allowed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta

from common.errors import TooMany
from starlette.types import Receive

from gateway.errors import BodyTooLarge

READ_WHOLE_BYTES = 64 * 1024
"""Bodies up to here are read before the service is called, so that a slow client occupies no connection to it."""


LINGER_SECONDS = 1.0
"""How long a refused client may go on sending before it is cut off."""


class ClientGone(Exception):
    """The client went away; nobody is left to answer."""


class ClientTooSlow(TooMany):
    code = "client_too_slow"
    en = "The request's body did not arrive in time."
    fr = "Le corps de la requête n'est pas arrivé à temps."


Refusal = BodyTooLarge | ClientTooSlow | ClientGone


class RequestBody:
    """Reads the ASGI messages of one request.

    Args:
        receive: ASGI's.
        limit_bytes: largest body.
        idle_seconds: how long the client may be silent.
        is_empty: the request has none, so there is nothing to wait for.
    """

    def __init__(self, receive: Receive, limit_bytes: int, idle_seconds: float, *, is_empty: bool = False) -> None:
        self._receive = receive
        self._limit = limit_bytes
        self._idle = idle_seconds
        self._taken = 0
        self.finished = asyncio.Event()
        if is_empty:
            self.finished.set()
        self.refused: Refusal | None = None

    async def chunks(self) -> AsyncIterator[bytes]:
        """The pieces as they come.

        Raises:
            BodyTooLarge: at the first byte beyond the limit.
            ClientGone: the client disconnected before the end.
            ClientTooSlow: it was silent for too long.
        """
        while not self.finished.is_set():
            try:
                async with asyncio.timeout(self._idle):
                    message = await self._receive()
            except TimeoutError:
                raise self._refuse(ClientTooSlow(retry_after=timedelta(seconds=1))) from None
            if message["type"] == "http.disconnect":
                raise self._refuse(ClientGone())
            piece: bytes = message.get("body", b"")
            self._taken += len(piece)
            if self._taken > self._limit:
                raise self._refuse(BodyTooLarge(limit_bytes=self._limit))
            if not message.get("more_body", False):
                self.finished.set()
            if piece:
                yield piece

    def _refuse(self, reason: Refusal) -> Refusal:
        self.refused = reason
        return reason

    async def whole(self) -> bytes:
        """All of a body that is known to be small; raises as `chunks` does."""
        return b"".join([piece async for piece in self.chunks()])

    async def client_gone(self) -> None:
        """Return when the client disconnects after it has sent its whole request."""
        await self.finished.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def discard_rest(receive: Receive) -> None:
    """Read on without keeping anything, for a second at most.

    A connection that is closed on a client in the middle of its sending is reset, and the client never reads why it
    was refused.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            message = await receive()
            while message["type"] == "http.request" and message.get("more_body", False):
                message = await receive()
