"""Write a new vault's objects (vault.json, keys/1) and note that they are there."""

from __future__ import annotations

from uuid import UUID

from common.persistence import Store

from backup_engine.persistence.unit_of_work import UnitOfWork
from backup_engine.ports.vault import BlobStore, Kms
from backup_engine.vault.lifecycle import create_vault


async def prepare_vault(store: Store[UnitOfWork], blobs: BlobStore, kms: Kms, tenant_id: UUID) -> int:
    """Make every vault of the organization that is not ready; returns how many were made ready.

    A worker's step, not an edge's: the objects are written between two transactions, and writing them again after a
    crash finds what is there.
    """
    async with store.for_tenant(tenant_id) as uow:
        waiting = await uow.vaults.unready()
    for vault_id in waiting:
        made = await create_vault(blobs, kms, vault_id=vault_id, owner=str(tenant_id), now=store.clock.now())
        async with store.for_tenant(tenant_id) as uow:
            await uow.vaults.ready(vault_id, made.number, made.sealed, store.clock.now())
    return len(waiting)
