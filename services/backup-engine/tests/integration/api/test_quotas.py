"""Places under the plan's limits: taken in the transaction of the row they count, refused with the guide's words."""

import asyncio
from collections import Counter

import pytest
from backup_engine.testing.engine import Engine
from backup_engine.testing.rows import a_machine, a_server

SERVER = {"username": "root", "password": "secret"}


@pytest.mark.invariant("S39")
async def test_parallel_registrations_at_the_quota_end_with_exactly_the_quota(engine: Engine) -> None:
    tenant = await engine.tenant(max_esxi_servers=3)
    async with engine.client(tenant) as api:
        answers = await asyncio.gather(
            *(api.post("/api/esxi-servers/", json={"hostname": f"esxi{n}.example", **SERVER}) for n in range(50))
        )
        assert Counter(answer.status_code for answer in answers) == {201: 3, 403: 47}
        assert len((await api.get("/api/esxi-servers/")).json()["results"]) == 3


@pytest.mark.invariant("S39")
async def test_parallel_backups_at_the_months_quota_end_with_exactly_the_quota(engine: Engine) -> None:
    tenant = await engine.tenant(max_backups_per_month=4)
    server = await a_server(engine, tenant)
    vm = await a_machine(engine, tenant, server)
    async with engine.client(tenant) as api:
        answers = await asyncio.gather(*(api.post("/api/backup-jobs/", json={"vm_id": str(vm)}) for _ in range(50)))
        assert Counter(answer.status_code for answer in answers) == {202: 4, 403: 46}
        assert len((await api.get("/api/backup-jobs/")).json()["results"]) == 4


async def test_a_refusal_says_resource_limit_and_current_in_the_guides_words(engine: Engine) -> None:
    tenant = await engine.tenant(max_esxi_servers=1)
    async with engine.client(tenant, language="fr") as api:
        await api.post("/api/esxi-servers/", json={"hostname": "a.example", **SERVER})
        answer = await api.post("/api/esxi-servers/", json={"hostname": "b.example", **SERVER})
    problem = answer.json()
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    fields = {name: problem[name] for name in ("code", "resource", "limit", "current")}
    assert fields == {"code": "quota_reached", "resource": "esxi_servers", "limit": 1, "current": 1}
    assert problem["detail"] == "Limite de 1 serveur(s) ESXi atteinte. Veuillez mettre à niveau votre plan."
    facts = await _outbox(engine, tenant)
    assert facts["quota.reached.v1"][-1]["resource"] == "esxi_servers"


async def test_a_removed_server_frees_its_place(engine: Engine) -> None:
    tenant = await engine.tenant(max_esxi_servers=1)
    async with engine.client(tenant) as api:
        made = await api.post("/api/esxi-servers/", json={"hostname": "a.example", **SERVER})
        assert (await api.delete(f"/api/esxi-servers/{made.json()['id']}/")).status_code == 204
        again = await api.post("/api/esxi-servers/", json={"hostname": "b.example", **SERVER})
    assert again.status_code == 201


async def test_machines_count_when_protected_and_never_by_being_seen(engine: Engine) -> None:
    tenant = await engine.tenant(max_vms=2)
    server = await a_server(engine, tenant)
    machines = [str(await a_machine(engine, tenant, server, f"vm{n}")) for n in range(3)]
    async with engine.client(tenant) as api:
        body = {"name": "two", "server_id": str(server), "vm_ids": machines[:2]}
        made = await api.post("/api/backup-configs/", json=body)
        assert made.status_code == 201
        again = await api.post("/api/backup-configs/", json={**body, "name": "the same two"})
        assert again.status_code == 201
        third = await api.post("/api/backup-jobs/", json={"vm_id": machines[2]})
        assert (third.status_code, third.json()["resource"]) == (403, "vms")
        for configuration in (made, again):
            assert (await api.delete(f"/api/backup-configs/{configuration.json()['id']}/")).status_code == 204
        assert (await api.post("/api/backup-jobs/", json={"vm_id": machines[2]})).status_code == 202


async def test_a_refused_configuration_leaves_nothing_behind(engine: Engine) -> None:
    tenant = await engine.tenant(max_vms=1)
    server = await a_server(engine, tenant)
    machines = [str(await a_machine(engine, tenant, server, f"vm{n}")) for n in range(2)]
    async with engine.client(tenant) as api:
        refused = await api.post(
            "/api/backup-configs/", json={"name": "n", "server_id": str(server), "vm_ids": machines}
        )
        assert refused.status_code == 403
        assert (await api.get("/api/backup-configs/")).json()["results"] == []
        shown = (await api.get("/api/virtual-machines/")).json()["results"]
    assert [one["protected"] for one in shown] == [False, False]


async def test_a_full_storage_admits_no_backup(engine: Engine) -> None:
    tenant = await engine.tenant(max_storage_gb=1)
    vm = await a_machine(engine, tenant, await a_server(engine, tenant))
    async with engine.built.store.for_tenant(tenant) as uow:
        await uow.quota.add_storage(10**9)
    async with engine.client(tenant) as api:
        answer = await api.post("/api/backup-jobs/", json={"vm_id": str(vm)})
        assert (answer.status_code, answer.json()["resource"]) == (403, "storage_gb")
        assert (await api.get("/api/backup-jobs/")).json()["results"] == []


async def test_a_cancelled_backup_gives_its_place_of_the_month_back(engine: Engine) -> None:
    tenant = await engine.tenant(max_backups_per_month=1)
    vm = await a_machine(engine, tenant, await a_server(engine, tenant))
    async with engine.client(tenant) as api:
        job = (await api.post("/api/backup-jobs/", json={"vm_id": str(vm)})).json()
        assert (await api.post("/api/backup-jobs/", json={"vm_id": str(vm)})).status_code == 403
        cancelled = await api.post(f"/api/backup-jobs/{job['id']}/cancel/")
        assert cancelled.json()["status"] == "cancelled"
        assert (await api.post("/api/backup-jobs/", json={"vm_id": str(vm)})).status_code == 202


async def test_usage_is_told_as_whole_figures_and_a_near_limit_once(engine: Engine) -> None:
    tenant = await engine.tenant(max_esxi_servers=10)
    async with engine.client(tenant) as api:
        for number in range(10):
            await api.post("/api/esxi-servers/", json={"hostname": f"esxi{number}.example", **SERVER})
    facts = await _outbox(engine, tenant)
    assert [fact["esxi_servers_count"] for fact in facts["usage.recorded.v1"]] == list(range(1, 11))
    assert [fact["used"] for fact in facts["quota.nearing.v1"]] == [9]


async def _outbox(engine: Engine, tenant) -> dict[str, list[dict]]:
    async with engine.built.store.for_system("relay") as uow:
        from sqlalchemy import text

        rows = await uow.session.execute(
            text("select type, envelope from outbox where tenant_id = :t order by position"), {"t": tenant}
        )
        found: dict[str, list[dict]] = {}
        for row in rows:
            found.setdefault(row.type, []).append(row.envelope["data"])
    return found
