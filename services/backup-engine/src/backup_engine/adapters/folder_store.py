"""The folder store: a vault on a file system, durable by one barrier per batch (docs/vault-format.md §14).

Ours, because the stores at hand do not synchronise what they write. Blocking calls run in threads. Names
become paths one to one; the vault's names already fan out into ``aa/bb/``.
"""

import asyncio
import contextlib
import ctypes
import errno
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from backup_engine.ports.vault import (
    MAX_BATCH,
    MAX_BLOB_BYTES,
    Blob,
    BlobInfo,
    BlobMissing,
    BlobTooLarge,
    PutOutcome,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
)

TEMPORARY = ".tmp-"
SWEEP_AGE_SECONDS = 3600
"""Older temporaries are left-overs: a batch lasts seconds, and another process may be writing one now."""
THREADS = 4
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_UNFIT = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_IOV_MAX = 1024

_Answer = TypeVar("_Answer")


class FolderStore:
    """Blobs as files below one folder. Made by ``open``."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="folder-store")

    @classmethod
    async def open(cls, root: Path, *, sweep: bool = True) -> "FolderStore":
        """Open a folder, making it if its parent exists; with ``sweep``, remove left-over temporaries.

        Raises:
            StoreRefused: this is no folder, cannot be written, or its file system has no hard links.
        """
        store = cls(root)
        try:
            await store._run(store._prepare)
            if sweep:
                await store.sweep()
        except BaseException:
            await store.close()
            raise
        return store

    async def put_batch(self, blobs: Sequence[Blob]) -> list[PutOutcome]:
        """As the port says: durable on return, never replacing."""
        if len(blobs) > MAX_BATCH:
            raise ValueError(f"{len(blobs)} blobs are more than one batch")
        return await self._run(lambda: self._put(blobs)) if blobs else []

    async def get(self, name: str) -> bytes:
        """As the port says."""
        return await self._run(lambda: self._read(name))

    async def get_range(self, name: str, offset: int, length: int) -> bytes:
        """As the port says."""
        return await self._run(lambda: self._read_range(name, offset, length))

    async def delete(self, names: Sequence[str]) -> None:
        """As the port says; the deletion is durable on return."""
        await self._run(lambda: self._unlink(names))

    async def scan(self, prefix: str) -> AsyncIterator[BlobInfo]:
        """As the port says; directories are listed one at a time, so memory does not grow with the vault."""
        folder, _, start = prefix.rpartition("/")
        pending = [folder]
        while pending:
            inside, infos = await self._run(partial(self._list, pending.pop(), start))
            start = ""
            pending.extend(inside)
            for info in infos:
                yield info

    async def sweep(self, *, older_than_seconds: float = SWEEP_AGE_SECONDS) -> int:
        """Remove temporaries that crashed writers left; return how many."""
        return await self._run(lambda: self._sweep(time.time() - older_than_seconds))

    async def close(self) -> None:
        """Wait for calls under way and release the threads."""
        await asyncio.to_thread(self._threads.shutdown)

    async def _run(self, act: Callable[[], _Answer]) -> _Answer:
        return await asyncio.get_running_loop().run_in_executor(self._threads, act)

    def _prepare(self) -> None:
        """Prove that files can be made and linked here."""
        first, second = (self._root / f"{TEMPORARY}{secrets.token_hex(8)}" for _ in range(2))
        try:
            self._root.mkdir(mode=0o700, exist_ok=True)
            first.write_bytes(b"")
            os.link(first, second)
        except OSError as error:
            raise StoreRefused(reason=error.strerror or str(error)) from error
        finally:
            for path in (first, second):
                with contextlib.suppress(OSError):
                    path.unlink()

    def _path(self, name: str) -> Path:
        parts = name.split("/")
        if any(part in ("", ".", "..") or part.startswith(TEMPORARY) or "\0" in part for part in parts):
            raise ValueError(f"{name!r} is no blob name")
        return self._root.joinpath(*parts)

    def _put(self, blobs: Sequence[Blob]) -> list[PutOutcome]:
        finals = [self._path(blob.name) for blob in blobs]
        temporaries: list[Path] = []
        outcomes: list[PutOutcome] = []
        folders: set[Path] = set()
        try:
            for blob, final in zip(blobs, finals, strict=True):
                folders |= _make_folders(final.parent, self._root)
                temporary = final.parent / f"{TEMPORARY}{secrets.token_hex(12)}"
                temporaries.append(temporary)
                _write(temporary, blob)
            _barrier(self._root, temporaries)
            for temporary, final in zip(temporaries, finals, strict=True):
                outcomes.append(_link(temporary, final))
            _remove(temporaries)
            _barrier(self._root, [*folders, *{final.parent for final in finals}])
        except OSError as error:
            # What may not be durable must not be met, and believed, by a later attempt.
            made = [final for final, outcome in zip(finals, outcomes, strict=False) if outcome is PutOutcome.CREATED]
            _remove(made)
            raise _translated(error) from error
        finally:
            _remove(temporaries)
        return outcomes

    def _read(self, name: str) -> bytes:
        try:
            with self._path(name).open("rb") as file:
                if os.fstat(file.fileno()).st_size > MAX_BLOB_BYTES:
                    raise BlobTooLarge(name=name)
                return file.read(MAX_BLOB_BYTES)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise BlobMissing(name=name) from error
        except OSError as error:
            raise _translated(error) from error

    def _read_range(self, name: str, offset: int, length: int) -> bytes:
        try:
            with self._path(name).open("rb") as file:
                return os.pread(file.fileno(), length, offset)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise BlobMissing(name=name) from error
        except OSError as error:
            raise _translated(error) from error

    def _unlink(self, names: Sequence[str]) -> None:
        paths = [self._path(name) for name in names]
        try:
            for path in paths:
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    path.unlink()
            _barrier(self._root, [folder for folder in {path.parent for path in paths} if folder.is_dir()])
        except OSError as error:
            raise _translated(error) from error

    def _list(self, folder: str, start: str) -> tuple[list[str], list[BlobInfo]]:
        inside: list[str] = []
        infos: list[BlobInfo] = []
        prefix = f"{folder}/" if folder else ""
        try:
            with os.scandir(self._root / folder) as entries:
                for entry in entries:
                    if not entry.name.startswith(start) or entry.name.startswith(TEMPORARY):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        inside.append(prefix + entry.name)
                    else:
                        with contextlib.suppress(FileNotFoundError):  # Deleted meanwhile.
                            infos.append(_info(prefix + entry.name, entry.stat(follow_symlinks=False)))
        except (FileNotFoundError, NotADirectoryError):
            return [], []
        except OSError as error:
            raise _translated(error) from error
        return inside, infos

    def _sweep(self, before: float) -> int:
        swept = 0
        for path in _temporaries(self._root):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime <= before:
                    path.unlink()
                    swept += 1
        return swept


def _info(name: str, found: os.stat_result) -> BlobInfo:
    return BlobInfo(name, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))


def _temporaries(root: Path) -> Iterator[Path]:
    for folder, _, files in os.walk(root):
        for file in files:
            if file.startswith(TEMPORARY):
                yield Path(folder, file)


def _make_folders(folder: Path, root: Path) -> set[Path]:
    """Make a folder with its parents; return those whose entries changed, for the fallback barrier."""
    missing = folder
    changed: set[Path] = set()
    while missing != root and not missing.is_dir():
        missing = missing.parent
        changed.add(missing)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return changed


def _write(path: Path, blob: Blob) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        for part in blob.parts:
            view = memoryview(part).cast("B")
            while view:
                view = view[os.write(handle, view) :]
        if os.fstat(handle).st_size != blob.size_bytes:
            raise StoreUnavailable(reason=f"{blob.name} was not written in full")
    finally:
        os.close(handle)


def _link(temporary: Path, final: Path) -> PutOutcome:
    try:
        os.link(temporary, final)
    except FileExistsError:
        return PutOutcome.EXISTS
    return PutOutcome.CREATED


def _remove(paths: list[Path]) -> None:
    while paths:
        with contextlib.suppress(OSError):  # The sweep gets what cannot be removed now.
            paths[-1].unlink()
        paths.pop()


def _translated(error: OSError) -> StoreFull | StoreRefused | StoreUnavailable:
    if error.errno in _FULL:
        return StoreFull()
    reason = error.strerror or str(error)
    return StoreRefused(reason=reason) if error.errno in _UNFIT else StoreUnavailable(reason=reason)


def _find_syncfs() -> Callable[[int], int] | None:
    """Return libc's ``syncfs`` (Linux), which Python does not offer; elsewhere None."""
    found = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    return found if callable(found) else None


_syncfs = _find_syncfs()


def _barrier(root: Path, paths: Sequence[Path]) -> None:
    """Make all that was written durable: the file system at once, or else each of these paths.

    ``syncfs`` reports write-back errors since Linux 5.8. Called through ctypes, it releases the GIL.
    """
    if _syncfs is None:
        for path in paths:
            _each(path, os.fsync)
        return
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _syncfs(handle) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    finally:
        os.close(handle)


def _each(path: Path, act: Callable[[int], None]) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        act(handle)
    finally:
        os.close(handle)
