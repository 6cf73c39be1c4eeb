"""Passwords known from breaches, by a file of their SHA-1 hashes: no word of a password leaves the machine.

The file is the one that haveibeenpwned.com offers for download, sorted by hash, some 40 GB: it is searched where it
lies. Asking that site for a range of hashes (k-anonymity) would be another adapter of the same port.
"""

import asyncio
import hashlib
import mmap
from pathlib import Path

HASH_DIGITS = 40


class BreachedPasswordFile:
    """Looks passwords up by bisection; without a file it knows none.

    Args:
        path: lines `HASH` or `HASH:COUNT`, upper-case hex, sorted.
    """

    def __init__(self, path: Path | None) -> None:
        self._found = None if path is None else _mapped(path)

    async def knows(self, password: str) -> bool:
        """Whether it is in the file, whose pages are read in a thread: a cold disk keeps nobody else waiting."""
        if self._found is None:
            return False
        # SHA-1 is what the list is made with; nothing here relies on its strength.
        wanted = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper().encode()
        return await asyncio.to_thread(_bisect, self._found, wanted)


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _bisect(lines: mmap.mmap, wanted: bytes) -> bool:
    low, high = 0, len(lines)
    while low < high:
        middle = (low + high) // 2
        start = lines.rfind(b"\n", 0, middle) + 1
        found = lines[start : start + HASH_DIGITS]
        if found == wanted:
            return True
        if found < wanted:
            end = lines.find(b"\n", middle)
            low = len(lines) if end < 0 else end + 1
        else:
            high = start
    return False
