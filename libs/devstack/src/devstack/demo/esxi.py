"""The demo's hands on the simulated host: the guest's writes, and what its disks held when."""

from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True)
class EsxiControl:
    """The control address of one simulated host (plain http, apart from the wire that the product uses)."""

    url: str

    def client(self) -> httpx.AsyncClient:
        """For what has no method here."""
        return httpx.AsyncClient(base_url=self.url, timeout=120, trust_env=False)

    async def ask(self, path: str, **params: Any) -> Any:
        """GET a control path."""
        async with self.client() as http:
            return (await http.get(path, params=params)).raise_for_status().json()

    async def do(self, path: str, body: dict[str, Any]) -> Any:
        """POST to a control path."""
        async with self.client() as http:
            return (await http.post(path, json=body)).raise_for_status().json()

    async def write(self, moid: str, fraction: float, seed: int) -> Any:
        """Let the guest write ``fraction`` of what it uses, scattered."""
        return await self.do(f"/_sim/vms/{moid}/write", {"fraction": fraction, "seed": seed})

    async def sha256(self, moid: str, key: int) -> str:
        """Return the hash of a disk as it is now, 64 hex digits."""
        return str((await self.ask(f"/_sim/vms/{moid}/disks/{key}/sha256"))["sha256"])

    async def bytes_of(self, moid: str, key: int, offset: int, length: int) -> bytes:
        """Return bytes of a disk as it is now."""
        async with self.client() as http:
            answer = await http.get(f"/_sim/vms/{moid}/disks/{key}/bytes", params={"offset": offset, "length": length})
            return answer.raise_for_status().content

    async def keep(self, moid: str, key: int, name: str) -> None:
        """Keep a copy of a disk as it is now, to compare with byte by byte."""
        async with self.client() as http:
            (await http.put(f"/_sim/vms/{moid}/disks/{key}/copies/{name}")).raise_for_status()

    async def kept(self, name: str, offset: int, length: int) -> bytes:
        """Return bytes of a kept copy."""
        async with self.client() as http:
            answer = await http.get(f"/_sim/copies/{name}/bytes", params={"offset": offset, "length": length})
            return answer.raise_for_status().content

    async def allocated(self, moid: str, key: int) -> int:
        """Return how many bytes of a disk are allocated on the host."""
        machines = (await self.ask("/_sim/vms"))["results"]
        disks = next(machine["disks"] for machine in machines if machine["moid"] == moid)
        return int(next(disk["allocated_bytes"] for disk in disks if disk["key"] == key))

    async def recorded(self, task_id: str, key: int) -> str:
        """Return the hash of a disk at the moment when the task's snapshot was made."""
        records = (await self.ask("/_sim/recorded"))["results"]
        return str(
            next(
                r["sha256"] for r in reversed(records) if task_id.replace("-", "") in r["name"] and r["disk_key"] == key
            )
        )
