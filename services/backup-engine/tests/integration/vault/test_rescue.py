"""With a folder and a key, and nothing else, points are listed, proven and restored."""

import os
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from backup_engine.adapters.file_kms import FileKms
from backup_engine.adapters.folder_store import FolderStore
from backup_engine.testing.memory_vault import BytesDisk, MemoryCatalogue, TestVault, disk_plan
from backup_engine.vault.errors import ChunkDamaged, KeyringUnreadable
from backup_engine.vault.lifecycle import create_vault, set_recovery_key
from backup_engine.vault.manifest import PointManifest
from backup_engine.vault.rescue import BrokenPoint, RescueVault, find_vaults
from backup_engine.vault.writer import Outside

pytestmark = pytest.mark.integration
MIB = 1 << 20
OWNER = "0190a2b4-0000-7000-8000-0123456789ab"


def left(folder: Path, suffix: str) -> list[Path]:
    return [path for path in folder.iterdir() if path.suffix == suffix]


async def made(tmp_path: Path) -> tuple[TestVault, FileKms, list[PointManifest], list[bytes]]:
    store, kms = await FolderStore.open(tmp_path / "store"), FileKms(tmp_path / "keys")
    stored = await create_vault(store, kms, vault_id=uuid4(), owner=OWNER, now=datetime.now(UTC))
    vault = TestVault(store, MemoryCatalogue(), stored.keyring)
    first = os.urandom(3 * MIB) + bytes(2 * MIB) + os.urandom(99)
    second = first[:MIB] + b"changed" + first[MIB + 7 :]
    full = await vault.back_up(disk_plan(BytesDisk(first), len(first)))
    plan = disk_plan(
        BytesDisk(second),
        len(second),
        extents=[(MIB, 7)],
        outside=Outside.PARENT,
        parent_root=full.disks[0].root,
    )
    return vault, kms, [full, await vault.back_up(plan)], [first, second]


@pytest.mark.invariant("D48")
async def test_every_point_restores_from_the_folder_and_the_kms_alone(tmp_path: Path) -> None:
    vault, kms, points, contents = await made(tmp_path)
    assert await find_vaults(vault.store) == [vault.keyring.vault_id]
    rescue = await RescueVault.open(vault.store, vault.keyring.vault_id, kms=kms)
    listed = [point async for point in rescue.points()]
    assert {point.point_id for point in listed if isinstance(point, PointManifest)} == {
        point.point_id for point in points
    }
    for point, content in zip(points, contents, strict=True):
        assert await rescue.verify(point.point_id) == []
        [path] = await rescue.restore(point.point_id, tmp_path)
        assert path.read_bytes() == content
        assert path.stat().st_mode & 0o777 == 0o600
    assert not left(tmp_path, ".part")
    await vault.store.close()


async def test_the_recovery_key_alone_restores_and_another_one_does_not(tmp_path: Path) -> None:
    vault, kms, points, contents = await made(tmp_path)
    vault_id, recovery = vault.keyring.vault_id, os.urandom(32)
    await set_recovery_key(vault.store, kms, vault_id, OWNER, recovery)
    rescue = await RescueVault.open(vault.store, vault_id, recovery=recovery)
    [path] = await rescue.restore(points[1].point_id, tmp_path)
    assert path.read_bytes() == contents[1]
    with pytest.raises(KeyringUnreadable):
        await RescueVault.open(vault.store, vault_id, recovery=os.urandom(32))
    await vault.store.close()


@pytest.mark.invariant("D47")
async def test_damage_is_named_and_a_broken_manifest_is_shown_as_broken(tmp_path: Path) -> None:
    vault, kms, points, _ = await made(tmp_path)
    async with vault.reader(points[1]) as reader:
        object_id = (await (await reader._map(points[1].disks[0])).entry(0)).id
    [chunk] = (tmp_path / "store").rglob(f"{object_id.hex()}.0")
    content = bytearray(chunk.read_bytes())
    content[-1] ^= 1
    chunk.write_bytes(content)
    (tmp_path / "store" / points[0].name).write_bytes(b"half")
    rescue = await RescueVault.open(vault.store, vault.keyring.vault_id, kms=kms)
    listed = {getattr(point, "point_id", None): point async for point in rescue.points()}
    assert points[1].point_id in listed
    broken = listed[None]
    assert isinstance(broken, BrokenPoint)
    assert broken.ref.point_id == points[0].point_id
    damages = await rescue.verify(points[1].point_id)
    assert [(damage.id, damage.offset) for damage in damages] == [(object_id, 0)]
    with pytest.raises(ChunkDamaged):
        await rescue.restore(points[1].point_id, tmp_path)
    assert not left(tmp_path, ".raw")
    await vault.store.close()


@pytest.mark.invariant("D77")
async def test_a_point_of_which_an_object_is_missing_is_not_offered_but_its_lower_attempt_is(tmp_path: Path) -> None:
    vault, kms, points, contents = await made(tmp_path)
    async with vault.reader(points[1]) as reader:
        changed = (await (await reader._map(points[1].disks[0])).entry(1)).id
    second = await vault.back_up(
        disk_plan(BytesDisk(contents[1]), len(contents[1])), point_id=points[0].point_id, token=2
    )
    [chunk] = (tmp_path / "store").rglob(f"{changed.hex()}.0")
    chunk.unlink()
    rescue = await RescueVault.open(vault.store, vault.keyring.vault_id, kms=kms)
    listed = [point async for point in rescue.points()]
    offered = [(point.point_id, point.token) for point in listed if isinstance(point, PointManifest)]
    broken = [point.ref.point_id for point in listed if isinstance(point, BrokenPoint)]
    assert second.token == 2
    assert offered == [(points[0].point_id, 1)]
    assert broken == [points[1].point_id]
    await vault.store.close()
