"""Destroys the keys and deletes the objects and files of a deleted organization; may be repeated at any time."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from common.persistence import Store

from backup_engine.persistence.unit_of_work import UnitOfWork
from backup_engine.ports.vault import BlobStore, Kms
from backup_engine.vault.lifecycle import erase
from backup_engine.vault.names import Names

AT_ONCE = 64


@dataclass(frozen=True)
class VaultEraser:
    """What goes that is not in the database. Keys first: what is left after an interruption cannot be read; then the
    files that restores have exported, which anybody can read.
    """

    store: Store[UnitOfWork]
    blobs: BlobStore
    kms: Kms
    exports: Path | None = None

    async def erase(self, tenant_id: UUID) -> int:
        """Return how much went. A task that still ran may write some more: the next turn finds it."""
        async with self.store.for_tenant(tenant_id) as uow:
            vaults = await uow.vaults.all_ids()
        gone = 0
        for vault_id in vaults:
            await erase(self.blobs, self.kms, vault_id, str(tenant_id))
            names = [blob.name async for blob in self.blobs.scan(Names(vault_id).root)]
            for first in range(0, len(names), AT_ONCE):
                await self.blobs.delete(names[first : first + AT_ONCE])
            gone += len(names)
        return gone + await asyncio.to_thread(self._erase_exports, tenant_id)

    def _erase_exports(self, tenant_id: UUID) -> int:
        if self.exports is None or not (folder := self.exports / str(tenant_id)).exists():
            return 0
        files = sum(path.is_file() for path in folder.rglob("*"))
        shutil.rmtree(folder)
        return max(files, 1)
