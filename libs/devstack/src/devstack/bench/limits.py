"""What this machine allows a full backup at most: computing in memory, durable writing, reading; bytes per second.

Bare libraries, without any of the product's code: a slow piece of the product must not lower its own limit.
"""

import os
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import zstandard
from backup_engine.vault.codec import ZSTD_LEVEL
from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from devstack.bench.image import CHUNK, Image

THREADS = os.cpu_count() or 1
READERS = 4


@dataclass(frozen=True, slots=True)
class Limits:
    """Rates of plaintext, but ``write``, which is of what is written."""

    compute: float
    write: float
    read: float

    def of_full(self, plain_per_stored: float) -> tuple[str, float]:
        """Return the stage that limits a full backup and its rate of plaintext."""
        rates = {"compute": self.compute, "store": self.write * plain_per_stored, "read": self.read}
        stage = min(rates, key=lambda name: rates[name])
        return stage, rates[stage]


def measure(image: Image, folder: Path) -> Limits:
    """Measure all three, one after the other; blocks. Afterwards the image is in memory, as far as it fits."""
    compute, write = _compute(image), _write(image, folder)
    _read(image)
    return Limits(compute, write, _read(image))


def _compute(image: Image) -> float:
    key, cipher = secrets.token_bytes(32), AESGCM(AESGCM.generate_key(256))

    def work(chunks: tuple[bytes, ...]) -> None:
        compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
        for chunk in chunks:
            digest = blake3(chunk, key=key).digest()
            cipher.encrypt(digest[:12], compressor.compress(chunk), digest)

    with ThreadPoolExecutor(THREADS) as threads:
        began = time.perf_counter()
        list(threads.map(work, [image.sample[number::THREADS] for number in range(THREADS)]))
        return len(image.sample) * CHUNK / (time.perf_counter() - began)


def _write(image: Image, folder: Path) -> float:
    """One file as large as the image, written in order and made durable."""
    os.sync()
    path = folder / "durable-write"
    began = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for number in range(image.size // CHUNK):
            file.write(image.sample[number % len(image.sample)])
        os.fsync(file.fileno())
    seconds = time.perf_counter() - began
    path.unlink()
    return image.size / seconds


def _read(image: Image) -> float:
    handle = os.open(image.path, os.O_RDONLY)
    try:
        with ThreadPoolExecutor(READERS) as threads:
            began = time.perf_counter()
            read = sum(threads.map(lambda at: len(os.pread(handle, CHUNK, at)), range(0, image.size, CHUNK)))
            seconds = time.perf_counter() - began
    finally:
        os.close(handle)
    assert read == image.size
    return image.size / seconds
