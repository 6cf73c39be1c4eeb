"""Files as a server has them: a mix of compressible text and incompressible binaries, the same for the same seed."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

POOL_BYTES = 8 << 20
WORDS = """
the of and to in is request for backup on with server error as at by from this user that session connection be or an
timeout not are was address have service it kernel which started one disk were all there can been has when who will
more no if out so said what up its about into than them only other new some could time these two may then do invoice
payment douala yaounde first any my now such like our over me even most made after also did many before
""".split()  # noqa: SIM905 -- a word list reads better as text
FOLDERS = (
    "etc",
    "var/log",
    "var/lib/app",
    "home/marie/documents",
    "home/paul/pictures",
    "usr/lib",
    "opt/archive",
    "srv",
)


@dataclass(frozen=True)
class File:
    """One file to be put in the image: path from the root of the file system, and its bytes."""

    path: str
    data: bytes


class ContentSource:
    """An endless, seeded supply of text-like and random-like bytes."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._pool = b""

    def text(self, length: int) -> bytes:
        """Log-like text; zstd makes about a third of it."""
        if not self._pool:
            self._pool = self._make_pool(min(POOL_BYTES, max(length * 2, 1 << 20)))
        parts, have = [], 0
        while have < length:
            size = int(self._rng.integers(512, 6144))
            at = int(self._rng.integers(0, len(self._pool) - size))
            parts.append(f"\n{self._rng.integers(1 << 62):x} ".encode())
            parts.append(self._pool[at : at + size])
            have += len(parts[-1]) + len(parts[-2])
        return b"".join(parts)[:length]

    def _make_pool(self, length: int) -> bytes:
        weights = 1 / np.arange(1, len(WORDS) + 1)
        picks = self._rng.choice(len(WORDS), size=length // 4, p=weights / weights.sum())
        numbers = self._rng.integers(0, 1 << 30, size=len(picks) // 6).tolist()
        words = [WORDS[pick] for pick in picks.tolist()]
        words[::6] = [str(number) for number in (numbers + numbers)[: len(words[::6])]]
        return " ".join(words).encode()[:length]

    def binary(self, length: int) -> bytes:
        """Incompressible bytes, as in pictures and archives."""
        return self._rng.bytes(length)

    def mixed(self, length: int) -> bytes:
        """Either kind, by chance."""
        return self.text(length) if self._rng.random() < 0.55 else self.binary(length)

    def size(self, limit: int) -> int:
        """A plausible file size: many small, few large."""
        return int(min(limit, max(200, self._rng.lognormal(np.log(60_000), 1.6))))


def files(seed: int, total_bytes: int) -> Iterator[File]:
    """Files that fill about `total_bytes` of 4 KiB blocks."""
    source = ContentSource(seed)
    left, number = total_bytes, 0
    largest = max(16 << 10, min(8 << 20, total_bytes // 12))
    while left > 4096:
        size = min(source.size(largest), left)
        folder = FOLDERS[number % len(FOLDERS)]
        compressible = number % len(FOLDERS) < 4 or number % 3 == 0
        data = source.text(size) if compressible else source.binary(size)
        yield File(f"{folder}/{'log' if compressible else 'bin'}-{number:05d}", data)
        left -= -(-size // 4096) * 4096
        number += 1
