"""Streams under rules: throttled, cut or damaged on their way."""

import asyncio
import time
from collections.abc import AsyncIterator

from simulators.esxi.model.host import EsxHost


class CutError(ConnectionError):
    """The connection is to be ended in the middle of an answer."""


class Flow:
    """Rules `rate`, `cut` and `corrupt` for one request, taken when it begins."""

    def __init__(self, host: EsxHost, path: str) -> None:
        rate = host.faults.take(path, "rate")
        cut = host.faults.take(path, "cut")
        corrupt = host.faults.take(path, "corrupt")
        self._rate = float(rate.detail["bytes_per_second"]) if rate else None
        self._cut_at = int(cut.detail.get("after_bytes", 0)) if cut else None
        self._corrupt_at = int(corrupt.detail.get("after_bytes", 0)) if corrupt else None
        self._taken = {"rate": rate, "cut": cut, "corrupt": corrupt}
        self._sent = 0
        self._started = time.monotonic()

    async def through(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The pieces, changed as the rules say.

        Raises:
            CutError: after so many bytes, when a rule cuts.
        """
        async for piece in pieces:
            yield await self.one(piece)
            self.check_cut()

    async def one(self, piece: bytes) -> bytes:
        """One piece on its way: waits for the rate, cuts and flips."""
        if self._cut_at is not None:
            piece = piece[: max(0, self._cut_at - self._sent)]
        if self._corrupt_at is not None and self._sent <= self._corrupt_at < self._sent + len(piece):
            damaged = bytearray(piece)
            damaged[self._corrupt_at - self._sent] ^= 0x40
            piece = bytes(damaged)
            self._acted("corrupt")
        self._sent += len(piece)
        if self._rate:
            self._acted("rate")
            behind = self._sent / self._rate - (time.monotonic() - self._started)
            if behind > 0:
                await asyncio.sleep(behind)
        return piece

    def check_cut(self) -> None:
        """Raises CutError once enough has passed."""
        if self._cut_at is not None and self._sent >= self._cut_at:
            self._acted("cut")
            raise CutError("cut by rule")

    def _acted(self, action: str) -> None:
        """Count it, once for this request."""
        rule, self._taken[action] = self._taken[action], None
        if rule is not None:
            rule.acted += 1
