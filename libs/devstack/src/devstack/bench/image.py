"""The disk image that is backed up: dense, of this machine's real files, by a fixed recipe.

Files below the roots that do not shrink too well, in the order of their paths, each content once, one after the
other until the image is full. When they do not suffice they are taken again, each byte XORed with the round's number:
that keeps what zstd makes of them and repeats no chunk. Chunks that are all zero are left out.
"""

import hashlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import zstandard
from backup_engine.vault.codec import ZSTD_LEVEL, is_zero

CHUNK = 4 << 20
GIB = 1 << 30
ROOTS = (Path("/usr/bin"), Path("/usr/lib"), Path("/usr/share"), Path(sys.prefix))
LARGEST_FILE = 64 << 20
"""Larger ones are debug archives and models, which no typical server is full of."""
MOST_SHRINKING = 3.5
"""Files whose start zstd makes smaller than this part are left out (logs, tables): the whole shall be 2 to 3."""
START = 128 << 10
SAMPLES = 64


@dataclass(frozen=True, slots=True)
class Image:
    """A finished image; ``sample`` are chunks from all over it, for measuring in memory."""

    path: Path
    size: int
    sha256: str
    sample: tuple[bytes, ...]
    zstd_ratio: float

    def __str__(self) -> str:
        return f"dense {self.size / GIB:.2f} GiB image of real files, zstd ratio {self.zstd_ratio:.2f}"


def make(path: Path, size: int) -> Image:
    """Write an image of whole chunks, at least one, and make it durable."""
    chunks = max(1, size // CHUNK)
    digest = hashlib.sha256()
    sample: list[bytes] = []
    step = max(1, chunks // SAMPLES)
    with path.open("wb") as file:
        for number, chunk in zip(range(chunks), _chunks(), strict=False):
            file.write(chunk)
            digest.update(chunk)
            if number % step == 0:
                sample.append(chunk)
        file.flush()
        os.fsync(file.fileno())
        written = file.tell()
    packed = sum(len(zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(chunk)) for chunk in sample)
    return Image(path, written, digest.hexdigest(), tuple(sample), len(sample) * CHUNK / packed)


def _chunks() -> Iterator[bytes]:
    pending = bytearray()
    for content in _contents():
        pending += content
        while len(pending) >= CHUNK:
            chunk = bytes(pending[:CHUNK])
            del pending[:CHUNK]
            if not is_zero(chunk):
                yield chunk


def _contents() -> Iterator[bytes]:
    for mask in range(256):
        seen: set[bytes] = set()
        table = bytes(byte ^ mask for byte in range(256))
        for file in (file for root in ROOTS for file in _files(root)):
            try:
                content = file.read_bytes()
            except OSError:
                continue
            mark = hashlib.blake2b(content, digest_size=16).digest()
            if mark not in seen and _fits(content):
                seen.add(mark)
                yield content.translate(table) if mask else content


def _fits(content: bytes) -> bool:
    start = content[:START]
    return bool(start) and len(start) < MOST_SHRINKING * len(zstandard.compress(start, ZSTD_LEVEL))


def _files(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if not path.is_symlink() and path.is_file() and path.stat().st_size <= LARGEST_FILE:
                yield path
