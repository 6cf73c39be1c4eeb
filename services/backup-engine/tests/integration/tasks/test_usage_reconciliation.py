"""Counters are compared with what they count every six hours, corrected, and told as whole figures."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from backup_engine.domain.quota import Resource
from backup_engine.persistence.counted import CountedRepository
from backup_engine.persistence.queue import usage_unreconciled
from backup_engine.persistence.tables import quota_counters
from backup_engine.testing.engine import Engine
from backup_engine.testing.lab import Lab
from backup_engine.testing.rows import a_machine, a_point, a_server, query
from backup_engine.usecases import reconcile_usage as usecase
from backup_engine.usecases.reconcile_usage import reconcile_usage
from backup_engine.workflows.reconcile_usage import UsageReconciler
from sqlalchemy import select


async def reconciled(engine: Engine, tenant: UUID) -> dict[str, int]:
    async with engine.built.store.for_tenant(tenant) as uow:
        return {str(name): wrong for name, wrong in (await reconcile_usage(uow, await uow.tenants.get())).items()}


async def counters(engine: Engine, tenant: UUID) -> dict[str, int]:
    async with engine.built.store.for_tenant(tenant) as uow:
        rows = await uow.session.execute(select(quota_counters.c.resource, quota_counters.c.used))
        return {row.resource: row.used for row in rows}


async def last_report(engine: Engine, tenant: UUID) -> Any:
    async with engine.built.store.for_system("relay") as uow:
        from common.persistence.mechanisms import outbox

        found = await uow.session.scalars(
            select(outbox.c.envelope)
            .where(outbox.c.tenant_id == tenant, outbox.c.type == "usage.recorded.v1")
            .order_by(outbox.c.position)
        )
        return list(found)[-1]["data"]


async def test_what_a_backup_counted_is_what_is_found(lab: Lab) -> None:
    machine = await lab.machine("web")
    async with lab.engine.running():
        point = await lab.point(await lab.back_up(machine["id"]))
    assert await reconciled(lab.engine, lab.tenant_id) == {}
    told = await last_report(lab.engine, lab.tenant_id)
    figures = (told["esxi_servers_count"], told["vms_count"], told["backups_count"], told["storage_bytes"])
    assert figures == (1, 1, 1, point["bytes_stored"])
    assert told["reconciled"] is True


async def test_drift_is_corrected_and_the_other_organization_is_left_alone(lab: Lab) -> None:
    other = await lab.engine.tenant()
    await a_server(lab.engine, other)
    machine = await lab.machine("web")
    async with lab.engine.running():
        point = await lab.point(await lab.back_up(machine["id"]))
    for tenant in (lab.tenant_id, other):
        await query(lab.engine, tenant, "update quota_counters set used = used + 7")
    before = await counters(lab.engine, other)
    found = await reconciled(lab.engine, lab.tenant_id)
    assert found == dict.fromkeys(("esxi_servers", "vms", "backups_per_month", "storage_gb"), -7)
    assert await counters(lab.engine, lab.tenant_id) == {
        "esxi_servers": 1, "vms": 1, "backups_per_month": 1, "storage_gb": point["bytes_stored"],
    }  # fmt: skip
    assert await counters(lab.engine, other) == before
    assert await reconciled(lab.engine, lab.tenant_id) == {}


async def test_storage_that_was_collected_stops_counting(lab: Lab) -> None:
    machine = await lab.machine("web")
    async with lab.engine.running():
        await lab.back_up(machine["id"])
    async with lab.engine.built.store.for_tenant(lab.tenant_id) as uow:
        counted = await uow.quota.stored_bytes()
    await query(lab.engine, lab.tenant_id, "update chunks set state = 'deleted'")
    assert await reconciled(lab.engine, lab.tenant_id) == {"storage_gb": -counted}


async def test_a_commit_while_chunks_are_summed_up_waits_for_nobody_and_counts(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = await engine.tenant()
    async with engine.built.store.for_tenant(tenant) as uow:
        await uow.quota.add_storage(7)
    real = CountedRepository.storage_drift

    async def meanwhile(counted: CountedRepository) -> int:
        wrong = await real(counted)
        async with engine.built.store.for_tenant(tenant) as other:
            await other.quota.add_storage(50)
        return wrong

    monkeypatch.setattr(CountedRepository, "storage_drift", meanwhile)
    assert await reconciled(engine, tenant) == {"storage_gb": -7}
    assert (await counters(engine, tenant))["storage_gb"] == 50


async def test_bytes_of_an_attempt_that_made_no_point_are_not_counted(engine: Engine) -> None:
    tenant = await engine.tenant()
    vm = await a_machine(engine, tenant, await a_server(engine, tenant))
    async with engine.client(tenant) as api:
        assert (await api.post("/api/backup-jobs/", json={"vm_id": str(vm)})).status_code == 202
    await query(
        engine,
        tenant,
        "insert into chunks (tenant_id, vault_id, id, generation, type, used_epoch, plain_bytes, stored_bytes)"
        " select tenant_id, id, '\\x01', 1, 'chunk', 1, 900, 500 from vaults",
    )
    await query(engine, tenant, "update tasks set bytes_stored = 500")
    assert await reconciled(engine, tenant) == {}
    await query(engine, tenant, "update tasks set bytes_stored = 120")
    assert await reconciled(engine, tenant) == {"storage_gb": 380}


async def test_a_machine_whose_last_point_has_gone_frees_its_place(engine: Engine) -> None:
    tenant = await engine.tenant(max_vms=2)
    server = await a_server(engine, tenant)
    gone, kept = [await a_machine(engine, tenant, server, name) for name in ("gone", "kept")]
    await a_point(engine, tenant, kept)
    async with engine.built.store.for_tenant(tenant) as uow:
        await uow.machines.protect([gone, kept])
        await uow.quota.take((await uow.tenants.get()).quotas, Resource.VMS, 2)
    assert await reconciled(engine, tenant) == {}
    assert (await counters(engine, tenant))["vms"] == 1
    rows = await query(engine, tenant, "select id from virtual_machines where protected")
    assert [row.id for row in rows] == [kept]


async def test_a_machine_that_waits_for_its_first_backup_keeps_its_place(engine: Engine) -> None:
    tenant = await engine.tenant()
    vm = await a_machine(engine, tenant, await a_server(engine, tenant))
    async with engine.client(tenant) as api:
        await api.post("/api/backup-jobs/", json={"vm_id": str(vm)})
    assert await reconciled(engine, tenant) == {}
    assert (await counters(engine, tenant))["vms"] == 1


async def test_a_failed_backup_does_not_count_in_its_month(engine: Engine) -> None:
    tenant = await engine.tenant()
    vm = await a_machine(engine, tenant, await a_server(engine, tenant))
    async with engine.client(tenant) as api:
        await api.post("/api/backup-jobs/", json={"vm_id": str(vm)})
    await query(engine, tenant, "update tasks set status = 'failed', finished_at = clock_timestamp()")
    found = await reconciled(engine, tenant)
    assert found["backups_per_month"] == -1


async def test_what_fails_halfway_changes_nothing_and_is_due_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, well = await engine.tenant(), await engine.tenant()
    for one in (tenant, well):
        await a_server(engine, one)
        await query(engine, one, "update quota_counters set used = 9")

    class Killed(Exception):
        pass

    def killed(**figures: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(usecase, "UsageRecorded", killed)
        await reconciled(engine, tenant)
    assert (await counters(engine, tenant))["esxi_servers"] == 9
    await UsageReconciler(engine.built.store).turn()
    for one in (tenant, well):
        assert (await counters(engine, one))["esxi_servers"] == 1
    assert not {tenant, well} & await due(engine, timedelta(hours=6))
    assert {tenant, well} <= await due(engine, timedelta())


async def test_one_that_cannot_be_reconciled_keeps_no_other_waiting(engine: Engine) -> None:
    broken, well = await engine.tenant(), await engine.tenant()
    await query(engine, broken, "update tenant_state set quotas = '[]'::jsonb, status = 'nonsense'")
    await a_server(engine, well)
    await query(engine, well, "update quota_counters set used = 9")
    await UsageReconciler(engine.built.store).turn()
    await query(engine, broken, "update tenant_state set quotas = '{}'::jsonb, status = 'active'")
    assert (await counters(engine, well))["esxi_servers"] == 1
    assert broken in await due(engine, timedelta(hours=6))


async def due(engine: Engine, age: timedelta) -> set[UUID]:
    async with engine.built.store.for_system("reconciler") as uow:
        return set(await usage_unreconciled(uow, uow.clock.now() - age, 10_000))
