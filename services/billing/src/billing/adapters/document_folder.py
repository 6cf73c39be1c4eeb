"""Documents in a folder, written durably; names are made by us and never by a customer."""

import asyncio
import os
import re
from pathlib import Path
from uuid import uuid4

_NAME = re.compile(
    r"[0-9a-f-]{36}/receipts/[0-9a-f-]{36}\.(?:pdf|png|jpg)"
    r"|[0-9a-f-]{36}/issued/[A-Z0-9-]{1,40}\.pdf"
    r"|numbers/[A-Z0-9-]{1,20}/[0-9]{4}/[0-9]{9}"
)


class DocumentFolder:
    """Document store port over a local folder.

    Args:
        folder: Made when first written to, readable by this process's user only.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise FileNotFoundError(name)
        return self._folder / name

    async def put(self, name: str, content: bytes) -> None:
        """Write to a temporary name, sync, rename, sync the folder."""
        await asyncio.to_thread(self._write, self._path(name), content)

    def _write(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = path.with_name(f".{uuid4().hex}.partial")  # two may write the same document at once
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        finally:
            partial.unlink(missing_ok=True)

    async def get(self, name: str) -> bytes:
        """Read a file back."""
        return await asyncio.to_thread(self._path(name).read_bytes)

    async def remove(self, name: str) -> None:
        """Remove a file; one that is not there is no error."""
        await asyncio.to_thread(self._path(name).unlink, missing_ok=True)

    async def highest_numbers(self) -> list[tuple[str, int, int]]:
        """Return the highest number that is marked as issued, for each series and year."""
        return await asyncio.to_thread(self._highest)

    def _highest(self) -> list[tuple[str, int, int]]:
        found: dict[tuple[str, int], int] = {}
        for year in self._folder.glob("numbers/*/*"):
            for mark in self._marks(year):
                key = (year.parent.name, int(year.name))
                found[key] = max(found.get(key, 0), int(mark.name))
        return [(series, year, highest) for (series, year), highest in sorted(found.items())]

    def _marks(self, year: Path) -> list[Path]:
        """Return the marks of a series' year, without files that are just being written."""
        return [mark for mark in year.iterdir() if _NAME.fullmatch(mark.relative_to(self._folder).as_posix())]

    async def forget_below(self, series: str, year: int, number: int) -> None:
        """Remove the marks of lower numbers; one that another process has removed is no error."""
        await asyncio.to_thread(self._forget, self._folder / "numbers" / series / str(year), number)

    def _forget(self, year: Path, number: int) -> None:
        for mark in self._marks(year):
            if int(mark.name) < number:
                mark.unlink(missing_ok=True)
