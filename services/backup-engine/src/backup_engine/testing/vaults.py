"""One organization's vault as tests of garbage collection look at it: backups, cycles, and what the folder holds."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from backup_engine.testing.backups import DirectBackup, begin_backup, restored
from backup_engine.testing.engine import Engine
from backup_engine.testing.rows import a_machine, a_server, query
from backup_engine.workflows.collect_garbage import GarbageCollector

MIB = 1 << 20


def disk(*pieces: int) -> bytes:
    """A disk whose chunks of 1 MiB hold these numbers."""
    return b"".join(bytes([piece]) * MIB for piece in pieces)


@dataclass
class Vault:
    """One organization's vault, as tests look at it."""

    engine: Engine
    tenant_id: UUID
    vm_id: UUID
    vault_id: UUID

    @classmethod
    async def of(cls, engine: Engine, **quotas: int | None) -> Vault:
        tenant_id = await engine.tenant(**quotas)
        vm_id = await a_machine(engine, tenant_id, await a_server(engine, tenant_id))
        async with engine.built.store.for_tenant(tenant_id) as uow:
            return cls(engine, tenant_id, vm_id, (await uow.vaults.default()).id)

    @property
    def collector(self) -> GarbageCollector:
        built = self.engine.built
        return GarbageCollector(built.store, built.blobs, built.kms, timedelta(0), timedelta(seconds=60), "test")

    async def another_machine(self) -> UUID:
        (row,) = await self.query("select server_id from virtual_machines limit 1")
        return await a_machine(self.engine, self.tenant_id, row.server_id, f"vm{time.monotonic_ns()}")

    async def begin(self, vm_id: UUID | None = None) -> DirectBackup:
        return await begin_backup(self.engine, self.tenant_id, vm_id or self.vm_id)

    async def back_up(self, content: bytes, vm_id: UUID | None = None) -> UUID:
        backup = await self.begin(vm_id)
        return await backup.commit(await backup.write(content))

    async def restored(self, point_id: UUID) -> bytes:
        return await restored(self.engine, self.tenant_id, point_id)

    async def collect(self, cycles: int = 1) -> None:
        for _ in range(cycles):
            assert await self.collector.collect(self.tenant_id, self.vault_id)

    async def query(self, sql: str, **parameters: Any) -> list[Any]:
        return await query(self.engine, self.tenant_id, sql, **parameters)

    async def delete_point(self, point_id: UUID) -> None:
        """Deleted by a person, so long ago that nobody can bring it back."""
        sql = "update restore_points set state = 'tombstoned', tombstoned_at = now() - interval '8 days' where id = :id"
        await self.query(sql, id=point_id)

    async def state(self) -> str:
        return str((await self.query("select state from vaults"))[0].state)

    @property
    def folder(self) -> Path:
        return self.engine.built.settings.object_store_folder / "v1" / str(self.vault_id)

    def objects(self) -> set[str]:
        """Names of its chunks and map nodes."""
        return {path.name for kind in ("chunks", "maps") for path in self.folder.glob(f"{kind}/*/*/*")}

    def manifests(self) -> set[str]:
        return {path.name for path in self.folder.glob("points/*")}

    def age(self, hours: int = 25) -> None:
        """Let every object have been written so long ago, by the store's clock."""
        for path in self.folder.rglob("*"):
            if path.is_file():
                then = path.stat().st_mtime - hours * 3600
                os.utime(path, (then, then))

    async def everything(self) -> tuple[set[str], list[Any]]:
        """All that the vault has, in the store and in the catalogue."""
        rows = await self.query("select id, generation, state, used_epoch from chunks order by id, generation")
        names = {str(path.relative_to(self.folder)) for path in self.folder.rglob("*")}
        return names, [tuple(row) for row in rows]
