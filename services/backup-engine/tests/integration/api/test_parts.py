"""The parts as they are run: a fact of tenancy comes in by the broker, and the API answers on its port."""

import asyncio
from pathlib import Path

import httpx
from backup_engine.bootstrap import build
from backup_engine.settings import NAME
from backup_engine.testing.engine import provisioned, settings_of
from common.auth.internal_token import Claims
from common.ids import uuid7
from common.messaging.in_process import InProcessBroker
from common.parts import run
from common.testing import ServiceDatabase, eventually, internal_auth


async def test_an_organization_can_register_a_host_seconds_after_it_was_provisioned(
    database: ServiceDatabase, tmp_path: Path
) -> None:
    broker = InProcessBroker()
    service = await build(settings_of(database, tmp_path), broker)
    stop, ready = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(run(service.parts.values(), stop=stop, on_ready=ready.set))
    try:
        async with asyncio.timeout(20):
            await ready.wait()
        for check in service.checks_of("worker").values():
            assert await check() is None
        tenant = uuid7()
        claims = Claims(uuid7(), tenant, frozenset({"owner"}), request_id="request-1")
        url = service.parts["api"].url  # type: ignore[attr-defined]
        async with httpx.AsyncClient(base_url=url, auth=internal_auth(NAME, claims)) as api:
            assert (await api.get("/api/esxi-servers/")).status_code == 503
            await broker.publish(provisioned(tenant))
            body = {"hostname": "esxi.example", "username": "root", "password": "secret"}

            async def registered() -> bool:
                return (await api.post("/api/esxi-servers/", json=body)).status_code == 201

            await eventually(registered, what="the organization is known")
            await eventually(lambda: list((tmp_path / "vaults").rglob("vault.json")), what="the vault is written")
    finally:
        stop.set()
        await running
        await service.close()
