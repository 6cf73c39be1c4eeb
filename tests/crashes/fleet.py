"""A customer with a host of several machines, for tests that break what backs them up: what he asks for and sees."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from backup_engine.adapters.vsphere.dialer import DialPolicy
from backup_engine.adapters.vsphere.hypervisor import VSphereConnector, VSphereHypervisor
from backup_engine.ports.hypervisor_values import Credentials, Endpoint
from devstack.customer import JSON, Customer, until
from devstack.demo.esxi import EsxiControl
from devstack.demo.patience import FINAL
from devstack.premises import SILVER, a_host, bought, server_body
from devstack.stack import Stack

MACHINE = "{name}:48m:10m:24m:6m"
"""Two small disks: when the second is read, chunks and pages of the first are stored already."""
HOST_LEASE_SECONDS = 20
"""A host that ends abandoned exports and imports soon; a real one takes five minutes."""
ENGINE = "backup_engine"


@dataclass(frozen=True)
class Fleet:
    """The customer and his machines, as the API lists them; ``tenant`` is his organization."""

    stack: Stack
    customer: Customer
    sim: EsxiControl
    host: JSON
    tenant: UUID
    server: str
    machines: tuple[JSON, ...]

    async def request(self, machine: JSON) -> JSON:
        """Ask for a backup; the job as it begins."""
        job: JSON = await self.customer.post("/api/backup-jobs/", {"vm_id": machine["id"]}, expect=202)
        return job

    async def ended(self, path: str, *, seconds: float = 240) -> JSON:
        """The job at ``path`` once it ended."""
        return await until(lambda: self.customer.get(path), lambda job: job["status"] in FINAL, seconds=seconds)

    async def completed(self, jobs: Iterable[JSON], path: str = "/api/backup-jobs/{id}/") -> list[JSON]:
        """The jobs once all have ended; fails unless each completed."""
        done = await asyncio.gather(*(self.ended(path.format(id=job["id"])) for job in jobs))
        assert {job["status"] for job in done} <= {"completed", "completed_with_warnings"}, done
        return list(done)

    async def back_up_all(self) -> list[JSON]:
        """One backup of each machine, to its end."""
        return await self.completed([await self.request(machine) for machine in self.machines])

    async def points(self, machine: JSON) -> list[JSON]:
        """The machine's restore points, the oldest first."""
        found = (await self.customer.get("/api/restore-points/", vm_id=machine["id"]))["results"]
        return sorted(found, key=lambda point: str(point["committed_at"]))

    async def restores(self, point: JSON) -> bool:
        """Whether every disk of the point reads as the host recorded it when exactly this point's snapshot was made."""
        job = await self.customer.post("/api/restore/disk/", {"restore_point_id": point["id"]}, expect=202)
        [done] = await self.completed([job], "/api/restore/jobs/{id}/")
        read = {disk["key"]: disk["sha256"] for disk in done["disks"]}
        return bool(read) and read == await self.recorded(point)

    async def recorded(self, point: JSON) -> dict[int, str]:
        """SHA-256 by disk of what the host held at the snapshot of the attempt that made the point."""
        [row] = await self.rows("SELECT token FROM restore_points WHERE id = $2", UUID(point["id"]))
        return await self.held_at(f"ebm-devstack-{UUID(point['id']).hex}-{row['token']}")

    async def held_at(self, snapshot: str) -> dict[int, str]:
        """SHA-256 by disk of what the host held when a snapshot of this name was made."""
        found = (await self.sim.ask("/_sim/recorded", name=snapshot))["results"]
        return {record["disk_key"]: record["sha256"] for record in found}

    async def snapshots(self) -> dict[str, list[str]]:
        """Names of the snapshots that each machine has now, by moid; those without any left out."""
        machines = (await self.sim.ask("/_sim/vms"))["results"]
        return {vm["moid"]: [one["name"] for one in vm["snapshots"]] for vm in machines if vm["snapshots"]}

    async def calls(self, *names: str) -> list[JSON]:
        """Calls that the host received, the oldest first; those of these names only if any is given."""
        entries: list[JSON] = (await self.sim.ask("/_sim/requests"))["results"]
        return [entry for entry in entries if not names or entry["name"] in names]

    async def write_little(self, machine: JSON) -> None:
        """Let the guest write 4 KiB into one chunk of the first disk."""
        async with self.sim.client() as http:
            path = f"/_sim/vms/{machine['moid']}/disks/{machine['disks'][0]['key']}/bytes"
            answer = await http.put(path, params={"offset": 20 << 20}, content=b"written meanwhile".ljust(4096, b"."))
            answer.raise_for_status()

    async def rows(self, query: str, *arguments: Any) -> list[dict[str, Any]]:
        """Rows of the engine's database; ``$1`` of the query is the tenant, which every query names."""
        where = query if "$1" in query else query.replace(" WHERE ", " WHERE tenant_id = $1 AND ", 1)
        return await self.stack.rows(ENGINE, where, self.tenant, *arguments)

    async def idle(self, *, seconds: float) -> None:
        """Every task of the customer has ended, removals of snapshots included."""

        async def open_tasks() -> JSON:
            query = "SELECT kind, status, phase FROM tasks WHERE tenant_id = $1 AND finished_at IS NULL"
            return {"open": await self.rows(query)}

        await until(open_tasks, lambda found: not found["open"], seconds=seconds)

    async def no_snapshots_but(self, *kept: str, seconds: float) -> None:
        """Wait until the host has these snapshots and no others."""

        async def left() -> JSON:
            return {"left": sorted(name for names in (await self.snapshots()).values() for name in names)}

        await until(left, lambda found: found["left"] == sorted(kept), seconds=seconds)

    @asynccontextmanager
    async def own_session(self) -> AsyncIterator[VSphereHypervisor]:
        """A session on the host that is not the product's."""
        connector = VSphereConnector(DialPolicy(allow_loopback=True))
        endpoint = Endpoint(self.host["host"], self.host["port"], self.host["thumbprint"])
        session = await connector.connect(endpoint, Credentials(self.host["username"], self.host["password"]))
        try:
            yield session
        finally:
            await session.close()
            await connector.aclose()


@asynccontextmanager
async def fleet_of(stack: Stack, folder: Path, count: int) -> AsyncIterator[Fleet]:
    """A new customer of the stack with ``count`` running machines on a host of his own."""
    names = [MACHINE.format(name=f"vm-{number}") for number in range(count)]
    with a_host(folder / "host", *names, lease_timeout=HOST_LEASE_SECONDS) as host:
        house = await bought(stack.endpoints["gateway"], "Flotte SARL", plan=SILVER)
        async with house.browser() as customer:
            server = await customer.post("/api/esxi-servers/", server_body(host), expect=201)
            await customer.post(f"/api/esxi-servers/{server['id']}/sync_vms/")
            found = (await customer.get("/api/virtual-machines/", server_id=server["id"], limit=100))["results"]
            tenant = UUID(house.ids["organization_id"])
            sim = EsxiControl(host["control"])
            yield Fleet(stack, customer, sim, host, tenant, server["id"], tuple(found))
