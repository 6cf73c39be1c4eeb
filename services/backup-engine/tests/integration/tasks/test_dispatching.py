"""The dispatcher's messages and the reconciler's sweeps."""

from uuid import UUID

import pytest
from backup_engine.domain.snapshot import SnapshotName
from backup_engine.testing.lab import Lab
from backup_engine.testing.rows import query
from common.ids import uuid7
from common.messaging import BrokerUnavailable


async def ready_task(lab: Lab) -> UUID:
    machine = await lab.machine("web")
    job = await lab.post("/api/backup-jobs/", {"vm_id": machine["id"]})
    await lab.engine.dispatcher.admit()
    return UUID(job["tasks"][0]["id"])


async def due(lab: Lab, task_id: UUID) -> bool:
    sql = "select publish_at <= clock_timestamp() as due from tasks where id = :id"
    return bool((await query(lab.engine, lab.tenant_id, sql, id=task_id))[0].due)


async def test_only_a_ready_task_is_published_and_only_once_in_five_minutes(lab: Lab) -> None:
    task_id = await ready_task(lab)
    dispatcher = lab.engine.dispatcher
    assert await due(lab, task_id)
    assert await dispatcher.publish() >= 1
    assert not await due(lab, task_id)
    assert await dispatcher.publish() == 0


async def test_a_task_that_nobody_claims_is_published_again(lab: Lab) -> None:
    task_id = await ready_task(lab)
    await lab.engine.dispatcher.publish()
    sql = "update tasks set publish_at = publish_at - interval '5 minutes 1 second' where id = :id"
    await query(lab.engine, lab.tenant_id, sql, id=task_id)
    assert await lab.engine.dispatcher.publish() == 1


async def test_what_the_broker_did_not_take_stays_due(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    task_id = await ready_task(lab)

    async def away(queue: str, task: str) -> None:
        raise BrokerUnavailable(f"{queue} {task}")

    with monkeypatch.context() as patched:
        patched.setattr(lab.engine.broker, "send_task", away)
        assert await lab.engine.dispatcher.publish() == 0
    assert await due(lab, task_id)
    assert await lab.engine.dispatcher.publish() == 1


async def test_one_machine_has_one_backup_at_a_time(lab: Lab) -> None:
    machine = await lab.machine("web")
    jobs = [await lab.post("/api/backup-jobs/", {"vm_id": machine["id"]}) for _ in range(3)]
    await lab.engine.dispatcher.admit()
    states = [(await lab.get(f"/api/backup-jobs/{job['id']}/"))["tasks"][0]["status"] for job in jobs]
    assert sorted(states) == ["ready", "waiting", "waiting"]
    async with lab.engine.running():
        for job in jobs:
            assert (await lab.ended(f"/api/backup-jobs/{job['id']}/"))["status"] == "completed"


@pytest.mark.invariant("D14")
async def test_a_snapshot_that_the_ledger_took_for_gone_is_removed_again(lab: Lab) -> None:
    machine = await lab.machine("web")
    async with lab.engine.running():
        await lab.back_up(machine["id"])
        await lab.idle()
    sql = "select name from snapshot_ledger where state = 'removed'"
    (row,) = await query(lab.engine, lab.tenant_id, sql)
    await snapshot_on_host(lab, machine["moid"], row.name)
    await lab.engine.built.reconciler().turn()
    async with lab.engine.running():
        await lab.idle()
    assert await lab.snapshots(machine["moid"]) == []


@pytest.mark.invariant("D14")
async def test_snapshots_of_others_are_left_alone_and_an_unknown_one_of_ours_waits_a_day(lab: Lab) -> None:
    machine = await lab.machine("web")
    unknown = str(SnapshotName("test", uuid7(), 1))
    others = ["before the update", str(SnapshotName("prod", uuid7(), 1))]
    for name in (*others, unknown):
        await snapshot_on_host(lab, machine["moid"], name)
    for _ in range(2):
        await lab.engine.built.reconciler().turn()
    async with lab.engine.running():
        assert sorted(await lab.snapshots(machine["moid"])) == sorted([*others, unknown])
        sql = "select count(*) as n, min(not_before - clock_timestamp()) as rest from tasks where kind = 'remove_snapshot'"
        (row,) = await query(lab.engine, lab.tenant_id, sql)
        assert row.n == 1
        assert 23 < row.rest.total_seconds() / 3600 <= 24
        await query(lab.engine, lab.tenant_id, "update tasks set not_before = null where kind = 'remove_snapshot'")
        await lab.idle()
    assert sorted(await lab.snapshots(machine["moid"])) == sorted(others)


async def snapshot_on_host(lab: Lab, moid: str, name: str) -> None:
    from backup_engine.ports.hypervisor_values import Credentials, Endpoint

    built, host = lab.engine.built, lab.host
    session = await built.connector.connect(
        Endpoint(host["host"], host["port"]), Credentials(host["username"], host["password"])
    )
    try:
        await session.create_snapshot(moid, name=name, description="", quiesce=False)
    finally:
        await session.close()


@pytest.mark.invariant("D15")
async def test_a_removal_that_takes_long_is_sent_once_and_polled(lab: Lab) -> None:
    machine = await lab.machine("web")
    await lab.faults({"match": "RemoveSnapshot_Task", "action": "delay", "seconds": 3, "in_task": True})
    async with lab.engine.running():
        job = await lab.back_up(machine["id"])
        assert job["status"] == "completed"
        assert await lab.snapshots(machine["moid"])
        await lab.idle()
    assert len(await lab.calls("RemoveSnapshot_Task")) == 1
    assert await lab.snapshots(machine["moid"]) == []
