"""What only a folder can get wrong: barriers, left-overs, full disks, file systems without links, odd names."""

import asyncio
import ctypes
import errno
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from backup_engine.adapters import folder_store
from backup_engine.adapters.folder_store import FolderStore
from backup_engine.ports.vault import Blob, PutOutcome, StoreFull, StoreRefused
from backup_engine.testing.memory_vault import BytesDisk, TestVault, disk_plan

pytestmark = pytest.mark.integration
MIB = 1 << 20


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def tiny_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file system of 4 MiB if we may mount one, else one whose writes fail after 4 MiB."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(tmp_path)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0
    if not mounted:
        left, write = [4 * MIB], os.write

        def limited(handle: int, content: Any) -> int:
            left[0] -= len(content)
            if left[0] < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(handle, content)

        monkeypatch.setattr(os, "write", limited)
    yield tmp_path
    if mounted:
        subprocess.run(["umount", str(tmp_path)], check=True)


async def test_a_full_disk_is_told_and_shows_no_partial_object(tiny_folder: Path) -> None:
    store = await FolderStore.open(tiny_folder / "vault")
    await store.put_batch([Blob("a/1", (b"fits",))])
    with pytest.raises(StoreFull):
        await store.put_batch([Blob(f"a/{number}", (bytes(3 * MIB),)) for number in (2, 3)])
    assert files(tiny_folder) == ["vault/a/1"]
    await store.close()


async def test_a_backup_onto_a_full_disk_stops_and_leaves_no_point(tiny_folder: Path) -> None:
    store = await FolderStore.open(tiny_folder / "vault")
    vault = TestVault.create(store)
    content = os.urandom(16 * MIB)
    with pytest.raises(StoreFull):
        await vault.back_up(disk_plan(BytesDisk(content), len(content)))
    assert not [name for name in files(tiny_folder) if "points" in name or ".tmp" in name]
    await store.close()


async def test_left_over_temporaries_of_a_crash_are_swept_at_start_and_fresh_ones_are_not(tmp_path: Path) -> None:
    store = await FolderStore.open(tmp_path)
    await store.put_batch([Blob("v1/x/aa/1.0", (b"kept",))])
    await store.close()
    stale, fresh = tmp_path / "v1/x/aa/.tmp-stale", tmp_path / "v1/x/aa/.tmp-fresh"
    for path in (stale, fresh):
        path.write_bytes(b"half")
    os.utime(stale, (0, 0))
    store = await FolderStore.open(tmp_path)
    assert [info.name async for info in store.scan("")] == ["v1/x/aa/1.0"]
    assert files(tmp_path) == ["v1/x/aa/.tmp-fresh", "v1/x/aa/1.0"]
    await store.close()


@pytest.mark.parametrize("stop_at", ["write", "first barrier", "link", "second barrier"])
async def test_a_crash_at_any_step_leaves_each_name_whole_or_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at: str
) -> None:
    """The child process dies at the step; what it leaves is then read by a new store."""
    store = await FolderStore.open(tmp_path)
    child = await asyncio.to_thread(_die_while_putting, store, stop_at)
    assert child == 9
    for name in [name for name in files(tmp_path) if folder_store.TEMPORARY not in name]:
        assert (tmp_path / name).read_bytes() == b"x" * 100_000
    blobs = [Blob(f"a/{number}", (b"x" * 100_000,)) for number in range(4)]
    assert set(await store.put_batch(blobs)) <= {PutOutcome.CREATED, PutOutcome.EXISTS}
    await store.sweep(older_than_seconds=0)
    assert files(tmp_path) == [f"a/{number}" for number in range(4)]
    await store.close()


def _die_while_putting(store: FolderStore, stop_at: str) -> int:
    pid = os.fork()
    if pid == 0:
        steps = {"write": "_write", "first barrier": "_barrier", "link": "_link", "second barrier": "_barrier"}
        name, calls = steps[stop_at], [0]
        act = getattr(folder_store, name)

        def dying(*arguments: Any) -> Any:
            calls[0] += 1
            if calls[0] == 2 or stop_at == "first barrier":
                os._exit(9)
            return act(*arguments)

        setattr(folder_store, name, dying)
        store._put([Blob(f"a/{number}", (b"x" * 100_000,)) for number in range(4)])
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


async def test_a_batch_has_one_barrier_before_its_links_and_one_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    barrier, link = folder_store._barrier, folder_store._link

    def told_barrier(root: Path, paths: Sequence[Path]) -> None:
        steps.append("barrier")
        barrier(root, paths)

    def told_link(temporary: Path, final: Path) -> PutOutcome:
        steps.append("link")
        return link(temporary, final)

    monkeypatch.setattr(folder_store, "_barrier", told_barrier)
    monkeypatch.setattr(folder_store, "_link", told_link)
    store = await FolderStore.open(tmp_path)
    await store.put_batch([Blob(f"a/{number}", (b"x",)) for number in range(3)])
    assert steps == ["barrier", "link", "link", "link", "barrier"]
    await store.close()


async def test_without_syncfs_every_file_and_directory_is_synchronised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def record(path: Path, act: Any) -> None:
        synced.append(path.name[:5])

    monkeypatch.setattr(folder_store, "_syncfs", None)
    monkeypatch.setattr(folder_store, "_each", record)
    store = await FolderStore.open(tmp_path)
    await store.put_batch([Blob("v1/aa/1.0", (b"x",))])
    assert synced[0] == ".tmp-"
    assert sorted(synced[1:]) == sorted([tmp_path.name[:5], "v1", "aa"])
    await store.close()


@pytest.mark.parametrize("failing_call", [1, 2])
async def test_a_barrier_that_fails_fails_the_batch_and_leaves_nothing_that_may_not_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing_call: int
) -> None:
    calls = []

    def failing(handle: int) -> int:
        calls.append(handle)
        ctypes.set_errno(errno.ENOSPC)
        return -1 if len(calls) == failing_call else 0

    store = await FolderStore.open(tmp_path)
    monkeypatch.setattr(folder_store, "_syncfs", failing)
    with pytest.raises(StoreFull):
        await store.put_batch([Blob("a", (b"x",))])
    assert files(tmp_path) == []
    await store.close()


async def test_a_file_system_without_hard_links_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unlinked(*arguments: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", unlinked)
    with pytest.raises(StoreRefused, match="not permitted"):
        await FolderStore.open(tmp_path / "vault")


async def test_a_file_or_a_folder_without_parent_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for place in (tmp_path / "file", tmp_path / "no" / "parent"):
        with pytest.raises(StoreRefused):
            await FolderStore.open(place)


@pytest.mark.parametrize("name", ["../escape", "a/../../b", "/etc/passwd", "a//b", "", "a/.tmp-x", "a\0b", "a/."])
async def test_names_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    store = await FolderStore.open(tmp_path / "vault")
    with pytest.raises(ValueError, match="no blob name"):
        await store.put_batch([Blob(name, (b"x",))])
    with pytest.raises(ValueError, match="no blob name"):
        await store.get(name)
    await store.close()


async def test_objects_are_for_their_owner_only(tmp_path: Path) -> None:
    store = await FolderStore.open(tmp_path / "vault")
    await store.put_batch([Blob("a/b", (b"x",))])
    modes = [oct((tmp_path / part).stat().st_mode & 0o777) for part in ("vault", "vault/a", "vault/a/b")]
    assert modes == ["0o700", "0o700", "0o600"]
    await store.close()


async def test_a_point_in_a_folder_restores_through_a_store_opened_anew(tmp_path: Path) -> None:
    store = await FolderStore.open(tmp_path)
    vault = TestVault.create(store)
    content = os.urandom(5 * MIB) + bytes(3 * MIB) + os.urandom(777)
    manifest = await vault.back_up(disk_plan(BytesDisk(content), len(content)))
    await store.close()
    vault.store = await FolderStore.open(tmp_path)
    assert await vault.restore(manifest) == content
    await vault.store.close()
