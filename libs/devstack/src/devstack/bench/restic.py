"""restic as the peer: its own repository in a folder, its defaults, the same image. Blocks.

Its defaults: «auto» is its fastest compression but none at all, and it synchronises each file that
it writes. Left out of its times is what opening a repository takes, half a second of key derivation by design.
"""

import os
import secrets
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from devstack.bench.image import Image


def bytes_below(folder: Path) -> int:
    """Return the sum of the files' sizes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@dataclass(frozen=True, slots=True)
class Restic:
    """One repository."""

    program: str
    repository: Path
    password: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)

    def init(self) -> None:
        """Make the repository: version 2, the one that compresses."""
        self._run("init", "--repository-version", "2")

    def opening(self) -> float:
        """Return the seconds that every command needs before it does anything."""
        return self._run("cat", "config")

    def back_up(self, image: Image) -> float:
        """Return the seconds of a first backup; its local backend synchronises what it writes."""
        os.sync()
        return self._run("backup", str(image.path))

    def restore(self, image: Image, folder: Path) -> float:
        """Return the seconds until the image is back in ``folder`` and durable."""
        os.sync()
        seconds = self._run("restore", "latest", "--target", str(folder))
        restored = folder / image.path.absolute().relative_to("/")
        began = time.perf_counter()
        handle = os.open(restored, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        assert restored.stat().st_size == image.size
        return seconds + time.perf_counter() - began

    def _run(self, *arguments: str) -> float:
        command = [self.program, "--repo", str(self.repository), "--no-cache", "--quiet", *arguments]
        environment = os.environ | {"RESTIC_PASSWORD": self.password}
        began = time.perf_counter()
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - began
        if done.returncode != 0:
            raise RuntimeError(f"restic {arguments[0]}: {done.stderr.strip()[-500:]}")
        return seconds
