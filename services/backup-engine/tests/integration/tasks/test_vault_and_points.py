"""Points in one vault and in two: shared chunks, deleted points, tenants with the same plaintext."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from backup_engine.testing.lab import Lab, lab_of
from backup_engine.testing.rows import query
from simulators.esxi import VmSpec


def twins() -> tuple[VmSpec, VmSpec]:
    """Two machines whose disks hold the same bytes."""
    one = VmSpec.parse("one:96m:12m")
    return VmSpec("one", one.disks, seed=7), VmSpec("two", one.disks, seed=7)


async def restored_digest(lab: Lab, point: dict[str, Any]) -> str:
    made = await lab.post("/api/restore/disk/", {"restore_point_id": point["id"]})
    done = await lab.ended(f"/api/restore/jobs/{made['id']}/")
    assert done["status"] == "completed", done
    return str(done["disks"][0]["sha256"])


async def true_digest(lab: Lab, point: dict[str, Any]) -> str:
    return (await lab.recorded(point))[point["disks"][0]["key"]]


@pytest.mark.invariant("D50")
async def test_two_machines_that_write_the_same_chunks_at_once_both_restore(lab_with: Callable[..., Any]) -> None:
    lab: Lab = await lab_with(*twins())
    machines = [await lab.machine(name) for name in ("one", "two")]
    body = {"name": "both", "server_id": lab.server_id, "vm_ids": [machine["id"] for machine in machines]}
    configuration = await lab.post("/api/backup-configs/", body, 201)
    async with lab.engine.running():
        job = await lab.post("/api/backup-jobs/", {"configuration_id": configuration["id"]})
        done = await lab.ended(f"/api/backup-jobs/{job['id']}/")
        assert done["status"] == "completed", done
        points = (await lab.get("/api/restore-points/"))["results"]
        assert len(points) == 2
        for point in points:
            assert await restored_digest(lab, point) == await true_digest(lab, point)
    rows = await query(lab.engine, lab.tenant_id, "select id, count(*) from chunks where state = 'live' group by id")
    assert rows
    assert {row.count for row in rows} == {1}


@pytest.mark.invariant("D51")
async def test_the_same_plaintext_in_two_organizations_shares_neither_ids_nor_objects(
    lab_with: Callable[..., Any],
) -> None:
    first: Lab = await lab_with(*twins())
    async with lab_of(first.engine, first.host) as second, first.engine.running():
        job = await first.back_up((await first.machine("one"))["id"])
        other = await second.back_up((await second.machine("two"))["id"])
        mine, theirs = await first.point(job), await second.point(other)
        assert theirs["bytes_stored"] >= mine["bytes_stored"] * 9 // 10
        ids = [
            {bytes(row.id) for row in await query(lab.engine, lab.tenant_id, "select id from chunks")}
            for lab in (first, second)
        ]
        assert ids[0]
        assert ids[1]
        assert ids[0].isdisjoint(ids[1])
        assert mine["vault_id"] != theirs["vault_id"]
        assert await restored_digest(second, theirs) == await true_digest(second, theirs)


@pytest.mark.invariant("D53")
async def test_every_other_point_restores_after_one_is_deleted(lab: Lab) -> None:
    machine = await lab.machine("web")
    points, truths = [], []
    async with lab.engine.running():
        for number in range(3):
            points.append(await lab.point(await lab.back_up(machine["id"])))
            truths.append(await true_digest(lab, points[-1]))
            await lab.write(machine["moid"], 0.05, number)
        # Deleting is: row tombstoned → manifest deleted → row. The chunks are the collector's business.
        middle = points[1]
        sql = "update restore_points set state = 'tombstoned', tombstoned_at = now() where id = :id returning manifest"
        (row,) = await query(lab.engine, lab.tenant_id, sql, id=UUID(middle["id"]))
        await lab.engine.built.blobs.delete([row.manifest])
        await query(lab.engine, lab.tenant_id, "delete from restore_points where id = :id", id=UUID(middle["id"]))
        for kept in (0, 2):
            assert await restored_digest(lab, points[kept]) == truths[kept]
        assert (await lab.api.get(f"/api/restore-points/{middle['id']}/")).status_code == 404
        after = await lab.point(await lab.back_up(machine["id"]))
        assert after["parent_point_id"] == points[2]["id"]
        assert await restored_digest(lab, after) == await true_digest(lab, after)


@pytest.mark.invariant("D9")
@pytest.mark.parametrize(
    "rule",
    [
        {"match": "QueryChangedDiskAreas", "action": "fault", "fault": "FileFault"},
        {"match": "QueryChangedDiskAreas", "action": "whole_disk"},
    ],
    ids=["refused", "whole disk"],
)
@pytest.mark.parametrize("kind", ["thin", "thick"])
async def test_where_allocation_cannot_be_asked_zero_chunks_are_not_stored(
    lab_with: Callable[..., Any], rule: dict[str, Any], kind: str
) -> None:
    spec = VmSpec.parse("web:96m:8m:off:thick" if kind == "thick" else "web:96m:8m:off")
    lab: Lab = await lab_with(replace(spec, cbt=True))
    machine = await lab.machine("web")
    await lab.faults(rule)
    async with lab.engine.running():
        point = await lab.point(await lab.back_up(machine["id"]))
        assert await restored_digest(lab, point) == await true_digest(lab, point)
    path = f"/_sim/vms/{machine['moid']}/disks/{machine['disks'][0]['key']}/bytes"
    holding = 0
    for offset in range(0, 96 << 20, 4 << 20):
        held = (await lab.sim.get(path, params={"offset": offset, "length": 4 << 20})).raise_for_status().content
        holding += any(held)
    (row,) = await query(lab.engine, lab.tenant_id, "select count(*) as stored from chunks where type = 'chunk'")
    assert 0 < row.stored <= holding < 24


@pytest.mark.invariant("D8")
async def test_a_change_that_tracking_withheld_is_found_and_the_machine_never_trusted_again(lab: Lab) -> None:
    machine = await lab.machine("web")
    async with lab.engine.running():
        await lab.back_up(machine["id"])
        await lab.back_up(machine["id"])
        key = machine["disks"][0]["key"]
        for offset in (40 << 20, 60 << 20, 80 << 20):
            where = f"/_sim/vms/{machine['moid']}/disks/{key}/bytes?offset={offset}"
            (await lab.sim.put(where, content=b"written by the guest" * 100)).raise_for_status()
        await lab.faults({"match": "QueryChangedDiskAreas", "action": "miss_changes"})
        point = await lab.point(await lab.back_up(machine["id"]))
        assert await restored_digest(lab, point) == await true_digest(lab, point)
        await lab.faults()
        following = await lab.point(await lab.back_up(machine["id"]))
        assert following["mode"] == "full"
        assert await restored_digest(lab, following) == await true_digest(lab, following)


@pytest.mark.invariant("D54", "D70")
async def test_a_point_is_kept_by_the_servers_clock_and_the_plan_of_its_commit(lab: Lab) -> None:
    from datetime import datetime

    machine = await lab.machine("web")
    async with lab.engine.running():
        point = await lab.point(await lab.back_up(machine["id"]))
    (row,) = await query(lab.engine, lab.tenant_id, "select now() as now")
    committed, kept = (datetime.fromisoformat(point[name]) for name in ("committed_at", "keep_until"))
    assert abs((row.now - committed).total_seconds()) < 60
    assert (kept - committed).days == 60


async def test_facts_of_a_backup_say_what_was_committed_and_used(lab: Lab) -> None:
    machine = await lab.machine("web")
    async with lab.engine.running():
        point = await lab.point(await lab.back_up(machine["id"]))
    async with lab.engine.built.store.for_system("relay") as uow:
        from sqlalchemy import text

        found = await uow.session.execute(
            text("select type, envelope from outbox where tenant_id = :t order by position"), {"t": lab.tenant_id}
        )
        facts = [(row.type, row.envelope["data"]) for row in found]
    completed = [data for kind, data in facts if kind == "backup.completed.v1"]
    assert [data["restore_point_id"] for data in completed] == [point["id"]]
    usage: dict[str, Any] = {}
    for kind, data in facts:
        if kind == "usage.recorded.v1":
            usage |= {name: value for name, value in data.items() if value is not None}
    assert usage["storage_bytes"] == point["bytes_stored"]
    assert (usage["backups_count"], usage["vms_count"], usage["esxi_servers_count"]) == (1, 1, 1)
