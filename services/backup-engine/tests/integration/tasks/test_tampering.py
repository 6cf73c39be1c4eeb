"""Vaults that somebody altered, swapped or did not mount: what cannot be proven is refused loudly, never restored."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from backup_engine.testing.lab import Lab, lab_of
from common.testing import eventually

Harm = Callable[[Path, Path], None]


def vault_of(lab: Lab, point: dict[str, Any]) -> Path:
    return lab.engine.built.settings.object_store_folder / "v1" / str(point["vault_id"])


def objects(folder: Path, kind: str) -> list[Path]:
    return sorted(path for path in (folder / kind).rglob("*") if path.is_file())


def overwrite(path: Path, content: bytes) -> None:
    """Put other bytes under an object's name, as somebody with the store's credentials can."""
    path.chmod(0o600)
    path.write_bytes(content)


async def refused_restore(lab: Lab, point: dict[str, Any]) -> str:
    """Ask for the point's disks; return with which problem that ended."""
    job = await lab.post("/api/restore/disk/", {"restore_point_id": point["id"]})
    done = await lab.ended(f"/api/restore/jobs/{job['id']}/")
    assert done["status"] == "failed", done
    assert done["disks"] == []
    return str(done["tasks"][0]["error"]["code"])


def flip_a_bit(folder: Path, _other: Path) -> None:
    for path in objects(folder, "chunks"):
        content = bytearray(path.read_bytes())
        content[-20] ^= 1
        overwrite(path, bytes(content))


def cut_short(folder: Path, _other: Path) -> None:
    for path in objects(folder, "chunks"):
        overwrite(path, path.read_bytes()[:-1])


def swap_two_chunks(folder: Path, _other: Path) -> None:
    first, second, *_ = objects(folder, "chunks")
    content = first.read_bytes()
    overwrite(first, second.read_bytes())
    overwrite(second, content)


def take_the_other_tenants(folder: Path, other: Path) -> None:
    theirs = objects(other, "chunks")
    for path, foreign in zip(objects(folder, "chunks"), theirs, strict=False):
        overwrite(path, foreign.read_bytes())


def alter_maps(folder: Path, _other: Path) -> None:
    for path in objects(folder, "maps"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0x80
        overwrite(path, bytes(content))


@pytest.mark.parametrize("harm", [flip_a_bit, cut_short, swap_two_chunks, take_the_other_tenants, alter_maps])
@pytest.mark.invariant("D51")
@pytest.mark.invariant("D47")
async def test_altered_objects_fail_the_restore_and_give_no_byte(lab: Lab, harm: Harm) -> None:
    async with lab_of(lab.engine, lab.host) as second, lab.engine.running():
        machine = await lab.machine("web")
        mine = await lab.point(await lab.back_up(machine["id"]))
        await lab.no_snapshots(machine["moid"])
        theirs = await second.point(await second.back_up((await second.machine("web"))["id"]))
        harm(vault_of(lab, mine), vault_of(second, theirs))
        assert await refused_restore(lab, mine) in {"chunk_damaged", "object_damaged"}


async def test_another_points_manifest_under_a_points_name_is_refused(lab: Lab) -> None:
    machine = await lab.machine("web")
    async with lab.engine.running():
        old = await lab.point(await lab.back_up(machine["id"]))
        await lab.write(machine["moid"], 0.1, seed=3)
        new = await lab.point(await lab.back_up(machine["id"]))
        folder = vault_of(lab, new) / "points"
        (former,), (latest,) = (list(folder.glob(f"{point['id']}.*")) for point in (old, new))
        overwrite(latest, former.read_bytes())
        assert await refused_restore(lab, new) in {"point_missing", "object_damaged"}


@pytest.mark.parametrize(
    ("lost", "code"), [("object_store_folder", "vault_missing"), ("kms_folder", "keyring_unreadable")]
)
async def test_a_backup_into_a_folder_that_is_not_mounted_fails_before_the_machine_is_touched(
    lab: Lab, tmp_path: Path, lost: str, code: str
) -> None:
    machine = await lab.machine("web")
    async with lab.engine.running():
        first = await lab.point(await lab.back_up(machine["id"]))
        await lab.no_snapshots(machine["moid"])
        folder: Path = getattr(lab.engine.built.settings, lost)
        asked = len(await lab.calls("CreateSnapshot_Task"))
        assert asked
        shutil.move(folder, tmp_path / "unmounted")
        folder.mkdir(mode=0o700)
        job = await lab.post("/api/backup-jobs/", {"vm_id": machine["id"]})

        async def refused() -> dict[str, Any] | None:
            task: dict[str, Any] = (await lab.get(f"/api/backup-jobs/{job['id']}/"))["tasks"][0]
            return task if task["error"] else None

        task = await eventually(refused, seconds=60, what="the backup to be refused")
        assert (task["error"]["code"], task["restore_point_id"]) == (code, None)
        assert len(await lab.calls("CreateSnapshot_Task")) == asked
        shutil.rmtree(folder)
        shutil.move(tmp_path / "unmounted", folder)
        job = await lab.post("/api/restore/disk/", {"restore_point_id": first["id"]})
        assert (await lab.ended(f"/api/restore/jobs/{job['id']}/"))["status"] == "completed"
