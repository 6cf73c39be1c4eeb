"""A backup-engine with a simulated host, as a customer sees both: HTTP on one side, the host's own eye on the other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
from common.testing import ServiceClient, eventually
from sqlalchemy import text

from backup_engine.testing.engine import Engine

ENDED = frozenset({"completed", "completed_with_warnings", "failed", "cancelled"})


@dataclass(slots=True)
class Lab:
    """One organization with one registered and synchronised host."""

    engine: Engine
    tenant_id: UUID
    api: ServiceClient
    sim: httpx.AsyncClient
    server_id: str
    host: dict[str, Any]

    async def get(self, path: str, **params: Any) -> Any:
        answer = await self.api.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: Any = None, status: int = 202, **headers: str) -> Any:
        answer = await self.api.post(path, json=body, headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def machine(self, name: str) -> dict[str, Any]:
        found = (await self.get("/api/virtual-machines/", server_id=self.server_id))["results"]
        return next(one for one in found if one["name"] == name)

    async def ended(self, path: str, seconds: float = 90) -> dict[str, Any]:
        """The job at ``path`` once it ended."""

        async def look() -> dict[str, Any] | None:
            job: dict[str, Any] = await self.get(path)
            return job if job["status"] in ENDED else None

        done: dict[str, Any] = await eventually(look, seconds=seconds, what=f"{path} ended")
        return done

    async def back_up(self, vm_id: str) -> dict[str, Any]:
        """A backup from request to end."""
        job = await self.post("/api/backup-jobs/", {"vm_id": vm_id})
        return await self.ended(f"/api/backup-jobs/{job['id']}/")

    async def point(self, job: dict[str, Any]) -> dict[str, Any]:
        point: dict[str, Any] = await self.get(f"/api/restore-points/{job['tasks'][0]['restore_point_id']}/")
        return point

    async def recorded(self, point: dict[str, Any], deployment: str = "test") -> dict[int, str]:
        """SHA-256 of each disk as the host recorded it when the point's snapshot was made."""
        prefix = f"ebm-{deployment}-{UUID(point['id']).hex}-"
        found = (await self.sim.get("/_sim/recorded")).json()["results"]
        return {one["disk_key"]: one["sha256"] for one in found if one["name"].startswith(prefix)}

    async def snapshots(self, moid: str) -> list[str]:
        """Names of the snapshots that the host has now."""
        machines = (await self.sim.get("/_sim/vms")).json()["results"]
        return [one["name"] for vm in machines if vm["moid"] == moid for one in vm["snapshots"]]

    async def no_snapshots(self, moid: str) -> None:
        async def gone() -> bool:
            return not await self.snapshots(moid)

        await eventually(gone, what="the snapshot was removed")

    async def idle(self, seconds: float = 90) -> None:
        """Nothing of this organization is under way, snapshots' removals included."""

        async def ended() -> bool:
            async with self.engine.built.store.for_tenant(self.tenant_id) as uow:
                left = await uow.session.scalar(text("select count(*) from tasks where finished_at is null"))
                return int(left or 0) == 0

        await eventually(ended, seconds=seconds, what="every task ended")

    async def faults(self, *rules: dict[str, Any]) -> None:
        (await self.sim.put("/_sim/faults", json=list(rules))).raise_for_status()

    async def calls(self, name: str) -> list[dict[str, Any]]:
        results: list[dict[str, Any]] = (await self.sim.get("/_sim/requests", params={"name": name})).json()["results"]
        return results

    async def write(self, moid: str, fraction: float, seed: int) -> None:
        (await self.sim.post(f"/_sim/vms/{moid}/write", json={"fraction": fraction, "seed": seed})).raise_for_status()


@asynccontextmanager
async def lab_of(engine: Engine, host: dict[str, Any], **quotas: int | None) -> AsyncIterator[Lab]:
    """A fresh organization that registers and synchronises ``host`` (as a simulator announces it)."""
    tenant_id = await engine.tenant(**quotas)
    async with (
        engine.client(tenant_id) as api,
        httpx.AsyncClient(base_url=host["control"], timeout=60) as sim,
    ):
        made = Lab(engine, tenant_id, api, sim, "", host)
        fields = ("port", "username", "password", "thumbprint")
        body = {"hostname": host["host"], **{name: host[name] for name in fields}}
        made.server_id = (await made.post("/api/esxi-servers/", body, 201))["id"]
        await made.post(f"/api/esxi-servers/{made.server_id}/test_connection/", status=200)
        await made.post(f"/api/esxi-servers/{made.server_id}/sync_vms/", status=200)
        yield made
