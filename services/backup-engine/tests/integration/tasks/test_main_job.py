"""The main job through real tasks: full, incremental by lease, incremental by datastore; restored to the byte."""

import hashlib

from backup_engine.testing.lab import Lab


async def test_three_backups_restore_byte_for_byte_to_a_machine_and_to_disk_files(lab: Lab) -> None:
    machine = await lab.machine("web")
    async with lab.engine.running():
        first = await lab.back_up(machine["id"])
        await lab.write(machine["moid"], 0.05, 1)
        second = await lab.back_up(machine["id"])
        await lab.write(machine["moid"], 0.02, 2)
        (await lab.sim.post(f"/_sim/vms/{machine['moid']}/power", json={"state": "off"})).raise_for_status()
        third = await lab.back_up(machine["id"])
        for job in (first, second, third):
            assert job["status"] == "completed", job
        points = [await lab.point(job) for job in (first, second, third)]
        assert [point["mode"] for point in points] == ["full", "incremental", "incremental"]
        assert [point["disks"][0]["transport"] for point in points] == ["lease", "lease", "datastore"]
        assert third["bytes_read"] < second["bytes_read"]
        assert points[2]["bytes_new"] < points[0]["bytes_new"]

        made = await lab.post(
            "/api/restore/vm/",
            {"restore_point_id": points[1]["id"], "server_id": lab.server_id, "name": "web-restored", "power_on": True},
        )
        restored = await lab.ended(f"/api/restore/jobs/{made['id']}/")
        assert restored["status"] == "completed", restored
        key = points[1]["disks"][0]["key"]
        (await lab.sim.post(f"/_sim/vms/{restored['moid']}/power", json={"state": "off"})).raise_for_status()
        on_host = (await lab.sim.get(f"/_sim/vms/{restored['moid']}/disks/{key}/sha256")).json()["sha256"]
        assert on_host == (await lab.recorded(points[1]))[key]
        assert (await lab.get(f"/api/virtual-machines/{restored['vm_id']}/"))["moid"] == restored["moid"]

        made = await lab.post("/api/restore/disk/", {"restore_point_id": points[2]["id"], "export": True})
        files = await lab.ended(f"/api/restore/jobs/{made['id']}/")
        assert files["status"] == "completed", files
        truth = (await lab.recorded(points[2]))[key]
        assert files["disks"][0]["sha256"] == truth
        with open(files["disks"][0]["file"], "rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == truth
        content = await lab.api.get(files["disks"][0]["content"])
        assert content.status_code == 200
        assert hashlib.sha256(content.content).hexdigest() == truth
        part = await lab.api.get(files["disks"][0]["content"], headers={"Range": "bytes=1000-5242879"})
        assert part.status_code == 206
        assert part.content == content.content[1000:5242880]
        await lab.no_snapshots(machine["moid"])
    chains = (await lab.get("/api/backup-chains/"))["results"]
    assert [(chain["vm_id"], chain["points_count"]) for chain in chains] == [(machine["id"], 3)]
