"""The rescue command: a vault's folder and the keys' folder are enough."""

import asyncio
import hashlib
import json
from pathlib import Path

import pytest
from backup_engine.rescue_command import run
from backup_engine.testing.lab import Lab


async def test_without_a_database_points_are_listed_verified_and_restored(
    lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = await lab.machine("web")
    async with lab.engine.running():
        point = await lab.point(await lab.back_up(machine["id"]))
        truth = await lab.recorded(point)
    settings = lab.engine.built.settings
    keys = ["--store", str(settings.object_store_folder), "--kms", str(settings.kms_folder)]

    async def said(*words: str) -> tuple[int, str]:
        # The command runs its own event loop, as from a shell.
        status = await asyncio.to_thread(run, [*keys, *words])
        return status, capsys.readouterr().out

    status, out = await said("list")
    assert (status, json.loads(out)) == (0, [point["vault_id"]])
    status, out = await said("list", point["vault_id"])
    assert [(one["point"], one["machine"]) for one in json.loads(out)] == [(point["id"], "web")]
    assert await said("verify", point["vault_id"], point["id"]) == (0, "[]\n")
    status, out = await said("restore", point["vault_id"], point["id"], str(tmp_path / "out"))
    (file,) = json.loads(out)
    assert hashlib.sha256(Path(file).read_bytes()).hexdigest() == truth[point["disks"][0]["key"]]
    assert (await said("show", point["vault_id"], lab.server_id))[0] == 1
