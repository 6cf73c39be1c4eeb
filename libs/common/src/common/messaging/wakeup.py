"""Waits for a NOTIFY on a direct connection, for a poll interval, or for the end, whichever comes first."""

import asyncio
import logging
from contextlib import suppress
from typing import Any, Self

from common.persistence.database import Database

log = logging.getLogger(__name__)


class Wakeup:
    """A listener that reconnects by itself; while it can't, the poll interval alone drives.

    Args:
        database: Where to listen.
        door: With which login.
        channel: What to listen to.
    """

    def __init__(self, database: Database, door: str, channel: str) -> None:
        self._database = database
        self._door = door
        self._channel = channel
        self._event = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._listening = asyncio.create_task(self._listen(), name=f"listen-{self._channel}")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._listening is not None:
            self._listening.cancel()
            with suppress(asyncio.CancelledError):
                await self._listening

    async def _listen(self) -> None:
        while True:
            try:
                async with self._database.direct(self._door) as connection:
                    await connection.add_listener(self._channel, self._heard)
                    self._event.set()
                    while not connection.is_closed():
                        await asyncio.sleep(5)
                        await connection.execute("select 1", timeout=10)
            except Exception as error:  # noqa: BLE001
                log.warning("cannot listen to %s: %s", self._channel, error)
                await asyncio.sleep(1)

    def _heard(self, *_: Any) -> None:
        self._event.set()

    async def wait(self, stop: asyncio.Event, *, timeout_seconds: float) -> None:
        """Return on a notification, after ``timeout_seconds``, or when ``stop`` is set."""
        waits = [asyncio.create_task(self._event.wait()), asyncio.create_task(stop.wait())]
        try:
            await asyncio.wait(waits, timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        self._event.clear()
