"""Argon2id, off the event loop.

Parameters are pwdlib's (RFC 9106 §4, second recommendation: 64 MiB, t = 3, p = 4), above OWASP's minimum. A hash
made with older parameters is made anew at the next sign-in.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TypeVar, TypeVarTuple, Unpack

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from tenancy.errors import PasswordsBusy

BUSY = timedelta(seconds=5)

A = TypeVarTuple("A")
R = TypeVar("R")


class Argon2Passwords:
    """Hashes and checks passwords in threads of its own, so that a rush of sign-ins cannot stall the loop.

    Args:
        threads: hashed at once; the memory of so many is all that a rush can take.
        hasher: another than the strong one, for tests.
        queue: how many may wait; those that come after them would wait longer than anybody does.
    """

    def __init__(self, threads: int, hasher: Argon2Hasher | None = None, *, queue: int = 400) -> None:
        self._room = threads + queue
        self._hash = PasswordHash((hasher or Argon2Hasher(),))
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._nobody = self._hash.hash("nobody has this password")

    async def hash(self, password: str) -> str:
        return await self._run(self._hash.hash, password)

    async def verify(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        """Check a password; takes as long when there is no stored hash.

        Returns:
            Whether it is right, and a new hash to store when the old one has outdated parameters.
        """
        right, renewed = await self._run(self._hash.verify_and_update, password, stored or self._nobody)
        return (right, renewed) if stored is not None else (False, None)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, act: Callable[[Unpack[A]], R], *args: *A) -> R:
        if self._room == 0:
            raise PasswordsBusy(retry_after=BUSY)
        self._room -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, act, *args)
        finally:
            self._room += 1
