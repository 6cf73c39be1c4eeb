"""What an organization's state allows, as tenancy's facts say it."""

import pytest
from backup_engine.testing.engine import Engine, provisioned
from backup_engine.testing.rows import a_machine, a_point, a_server
from common.audit import Sealer
from common.ids import uuid7
from common.persistence.mechanisms import outbox
from sqlalchemy import select

SERVER = {"hostname": "esxi.example", "username": "root", "password": "secret"}


async def test_a_valid_token_of_an_unknown_organization_is_told_to_wait(engine: Engine) -> None:
    tenant = uuid7()
    async with engine.client(tenant) as api:
        answer = await api.get("/api/esxi-servers/")
        assert (answer.status_code, answer.json()["code"]) == (503, "organization_being_prepared")
        assert answer.headers["retry-after"] == "1"
        await engine.receive(provisioned(tenant))
        assert (await api.get("/api/esxi-servers/")).status_code == 200


@pytest.mark.invariant("S42")
@pytest.mark.parametrize("status", ["suspended", "expired"])
async def test_without_a_paid_subscription_reading_and_restoring_go_on_and_changes_do_not(
    engine: Engine, status: str
) -> None:
    tenant = await engine.tenant()
    server = await a_server(engine, tenant)
    vm = await a_machine(engine, tenant, server)
    point = await a_point(engine, tenant, vm)
    await engine.receive(provisioned(tenant, version=2, status=status))
    async with engine.client(tenant) as api:
        assert len((await api.get("/api/restore-points/")).json()["results"]) == 1
        assert (await api.post("/api/restore/disk/", json={"restore_point_id": str(point)})).status_code == 202
        for path, body in (
            ("/api/esxi-servers/", SERVER),
            ("/api/backup-jobs/", {"vm_id": str(vm)}),
            ("/api/backup-configs/", {"name": "n", "server_id": str(server), "vm_ids": [str(vm)]}),
            (f"/api/esxi-servers/{server}/sync_vms/", None),
        ):
            answer = await api.post(path, json=body)
            assert (answer.status_code, answer.json()["code"]) == (403, "organization_suspended"), path
            assert "/api/tenants/orders/" in answer.json()["detail"]


async def test_a_backup_of_a_suspended_organization_waits_until_it_pays(engine: Engine) -> None:
    tenant = await engine.tenant()
    vm = await a_machine(engine, tenant, await a_server(engine, tenant))
    async with engine.client(tenant) as api:
        await api.post("/api/backup-jobs/", json={"vm_id": str(vm)})
    await engine.receive(provisioned(tenant, version=2, status="suspended"))
    assert await _admitted(engine, tenant) == []
    reactivated = provisioned(tenant, version=3)
    await engine.receive(reactivated)
    assert await _admitted(engine, tenant) == ["ready"]


@pytest.mark.invariant("S49")
async def test_an_older_state_that_comes_late_changes_nothing(engine: Engine) -> None:
    tenant = await engine.tenant()
    await engine.receive(provisioned(tenant, version=5, quotas={"max_esxi_servers": 1}))
    await engine.receive(provisioned(tenant, version=4, status="suspended"))
    async with engine.client(tenant) as api:
        assert (await api.post("/api/esxi-servers/", json=SERVER)).status_code == 201
        second = await api.post("/api/esxi-servers/", json={**SERVER, "hostname": "b.example"})
    assert second.json()["limit"] == 1


async def test_a_fact_that_comes_twice_makes_one_vault(engine: Engine) -> None:
    tenant = uuid7()
    fact = provisioned(tenant)
    for envelope in (fact, fact, provisioned(tenant, version=2)):
        await engine.receive(envelope)
    async with engine.built.store.for_tenant(tenant) as uow:
        assert len(await uow.vaults.unready()) == 1


async def test_a_vaults_objects_are_written_once_and_its_keys_open(engine: Engine) -> None:
    from backup_engine.vault.lifecycle import open_keyring, open_stored_keyring

    tenant = await engine.tenant()
    async with engine.built.store.for_tenant(tenant) as uow:
        vault = await uow.vaults.default()
        sealed = await uow.vaults.sealed_keyring(vault.id)
    assert vault.state == "ready"
    from_row = await open_stored_keyring(engine.built.kms, vault.id, sealed)
    assert from_row == await open_keyring(engine.built.blobs, engine.built.kms, vault.id)


async def test_a_deleted_organization_is_told_so_for_good_and_another_is_not(engine: Engine) -> None:
    tenant, other = await engine.tenant(), await engine.tenant()
    server = await a_server(engine, tenant)
    await engine.receive(provisioned(tenant, version=9, status="deleted"))
    await engine.receive(provisioned(tenant, version=8))
    async with engine.client(tenant) as api, engine.client(other) as theirs:
        for method, path in (("GET", ""), ("GET", f"{server}/"), ("POST", ""), ("DELETE", f"{server}/")):
            answer = await api.request(method, f"/api/esxi-servers/{path}", json=SERVER if method == "POST" else None)
            assert (answer.status_code, answer.json()["code"]) == (404, "organization_deleted"), (method, path)
            assert "retry-after" not in answer.headers
        assert (await theirs.get("/api/esxi-servers/")).status_code == 200


@pytest.mark.invariant("S86")
async def test_what_staff_reads_in_a_customers_name_is_told_to_his_audit_log(engine: Engine) -> None:
    tenant, other = await engine.tenant(), await engine.tenant()
    staff, began = uuid7(), uuid7()
    acted = ["/api/esxi-servers/", f"/api/restore-points/{uuid7()}/files/"]
    async with engine.client(tenant, "viewer", session_id=began, actor_id=staff) as acting:
        for path in acted:
            await acting.get(path)
    async with engine.client(other, "viewer", session_id=began) as themselves:
        await themselves.get("/api/esxi-servers/")
    await Sealer(engine.built.store).seal()
    async with engine.built.store.for_system("relay") as uow:
        envelopes = await uow.session.scalars(
            select(outbox.c.envelope)
            .where(outbox.c.tenant_id.in_([tenant, other]), outbox.c.type == "audit.recorded.v1")
            .order_by(outbox.c.position)
        )
        told = [(envelope["tenantid"], envelope["data"]) for envelope in envelopes]
    assert [(whose, one["target"]) for whose, one in told if one["action"] == "impersonation.used"] == [
        (str(tenant), f"GET {path}") for path in acted
    ]
    assert told[0][1]["details"] == {"impersonation": str(began), "impersonator": str(staff)}


async def _admitted(engine: Engine, tenant) -> list[str]:
    await engine.dispatcher.admit()
    async with engine.built.store.for_tenant(tenant) as uow:
        jobs = await uow.jobs.page("backup", None, 10)
    return [str(task.status) for _job, tasks in jobs for task in tasks if task.status != "waiting"]
