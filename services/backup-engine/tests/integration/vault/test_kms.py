"""The conformance suite of KMSs, and what only files can get wrong."""

import asyncio
import json
import sys
from pathlib import Path

import pytest
from backup_engine.adapters.file_kms import FileKms
from backup_engine.ports.vault import KeyRefused, KeyUnknown, Kms
from backup_engine.testing.memory_vault import MemoryKms

pytestmark = pytest.mark.integration


@pytest.fixture(params=["file", "memory"])
def kms(request: pytest.FixtureRequest, tmp_path: Path) -> Kms:
    return FileKms(tmp_path / "keys") if request.param == "file" else MemoryKms()


async def test_a_wrapped_secret_opens_with_its_key_and_context_only(kms: Kms) -> None:
    mine, other = await kms.create_key("acme"), await kms.create_key("acme")
    wrapped = await kms.wrap(mine, b"secret", b"context")
    assert await kms.unwrap(mine, wrapped, b"context") == b"secret"
    for key_ref, content, context in (
        (other, wrapped, b"context"),
        (mine, wrapped, b"other"),
        (mine, wrapped[:-1], b"context"),
        (mine, b"", b"context"),
    ):
        with pytest.raises(KeyRefused):
            await kms.unwrap(key_ref, content, context)


async def test_a_destroyed_key_opens_nothing_and_its_neighbour_still_does(kms: Kms) -> None:
    first, second = await kms.create_key("acme"), await kms.create_key("acme")
    wrapped = {key_ref: await kms.wrap(key_ref, b"secret", b"") for key_ref in (first, second)}
    await kms.destroy_key(first)
    await kms.destroy_key(first)
    with pytest.raises(KeyUnknown):
        await kms.unwrap(first, wrapped[first], b"")
    assert await kms.unwrap(second, wrapped[second], b"") == b"secret"


async def test_destroying_an_owner_destroys_all_its_keys_and_no_other(kms: Kms) -> None:
    doomed = [await kms.create_key("acme") for _ in range(2)]
    other = await kms.create_key("acme-2")
    await kms.destroy_owner("acme")
    await kms.destroy_owner("acme")
    for key_ref in doomed:
        with pytest.raises(KeyUnknown):
            await kms.wrap(key_ref, b"secret", b"")
    assert await kms.unwrap(other, await kms.wrap(other, b"s", b""), b"") == b"s"


async def test_a_reference_to_a_destroyed_key_never_meets_a_new_one(kms: Kms) -> None:
    old = await kms.create_key("acme")
    await kms.destroy_key(old)
    assert await kms.create_key("acme") != old


@pytest.mark.parametrize("key_ref", ["file:acme:1", "file:../x:1", "file:acme:0", "nonsense", ""])
async def test_an_unknown_reference_is_unknown(tmp_path: Path, key_ref: str) -> None:
    with pytest.raises(KeyUnknown):
        await FileKms(tmp_path).unwrap(key_ref, b"x" * 40, b"")


@pytest.mark.parametrize("owner", ["", "../acme", "a/b", ".lock", "a" * 101])
async def test_an_owner_cannot_leave_the_folder(tmp_path: Path, owner: str) -> None:
    with pytest.raises(ValueError, match="cannot name"):
        await FileKms(tmp_path).create_key(owner)


async def test_keys_are_for_their_owner_only_and_no_temporary_stays(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    kms = FileKms(folder)
    await kms.create_key("acme")
    await kms.create_key("other")
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "acme.json", "other.json"]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "acme.json").stat().st_mode & 0o777 == 0o600
    assert set(json.loads((folder / "acme.json").read_text())) == {"format", "owner", "last", "keys"}


ADD_TEN_KEYS = """
import asyncio, pathlib, sys
from backup_engine.adapters.file_kms import FileKms

async def add() -> None:
    for _ in range(10):
        await FileKms(pathlib.Path(sys.argv[1])).create_key("acme")

asyncio.run(add())
"""


async def test_two_processes_that_add_keys_at_once_lose_none(tmp_path: Path) -> None:
    command = (sys.executable, "-c", ADD_TEN_KEYS, str(tmp_path))
    children = [await asyncio.create_subprocess_exec(*command) for _ in range(2)]
    assert [await child.wait() for child in children] == [0, 0]
    assert len(json.loads((tmp_path / "acme.json").read_text())["keys"]) == 20
