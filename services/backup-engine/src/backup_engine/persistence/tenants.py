"""The organization's state here, its sites, vaults and keys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from common.ids import uuid7
from sqlalchemy import insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.engine import RowMapping

from backup_engine.domain.quota import Quotas
from backup_engine.domain.tenant import Tenant, TenantStatus
from backup_engine.domain.vault import VaultState
from backup_engine.errors import OrganizationBeingPrepared, VaultBeingPrepared
from backup_engine.persistence.rows import Repository
from backup_engine.persistence.tables import sites, tenant_state, vault_keys, vaults

CLOUD = "cloud"
"""The site of our own runners, and the name of their queue."""


@dataclass(frozen=True, slots=True)
class VaultRow:
    """A vault as the database knows it; the keys are in `vault_keys` and in the vault itself."""

    id: UUID
    site_id: UUID
    state: VaultState
    gc_epoch: int


class TenantRepository(Repository):
    """State of the organization for which the transaction was opened."""

    async def get(self) -> Tenant:
        """The state; OrganizationBeingPrepared when tenancy's fact has not arrived."""
        tenant = await self.find()
        if tenant is None:
            raise OrganizationBeingPrepared
        return tenant

    async def find(self, *, lock: bool = False) -> Tenant | None:
        query = select(tenant_state).where(self._mine(tenant_state))
        row = (await self._session.execute(query.with_for_update() if lock else query)).mappings().one_or_none()
        if row is None:
            return None
        return Tenant(
            tenant_id=row["tenant_id"],
            status=TenantStatus(row["status"]),
            quotas=Quotas(row["quotas"]),
            backup_retention_days=row["backup_retention_days"],
            anchor=row["anchor_at"],
            features=frozenset(name for name, enabled in row["features"].items() if enabled),
            version=row["version"],
        )

    async def save(self, tenant: Tenant, features: dict[str, bool]) -> bool:
        """Keep the newest state; False when what is stored is as new or newer."""
        values: dict[str, Any] = {
            "status": str(tenant.status),
            "features": features,
            "quotas": dict(tenant.quotas.limits),
            "backup_retention_days": tenant.backup_retention_days,
            "anchor_at": tenant.anchor,
            "version": tenant.version,
            "updated_at": self._uow.clock.now(),
        }
        statement = (
            upsert(tenant_state)
            .values(tenant_id=tenant.tenant_id, **values)
            .on_conflict_do_update(
                index_elements=["tenant_id"], set_=values, where=tenant_state.c.version < tenant.version
            )
        )
        return await self._uow.count_changed(statement) == 1

    async def usage_reconciled(self, at: datetime) -> None:
        """Note when the counters were compared with what they count."""
        await self._session.execute(update(tenant_state).where(self._mine(tenant_state)).values(usage_reconciled_at=at))

    async def set_status(self, status: TenantStatus, version: int) -> bool:
        """Change the status alone, for facts that carry no more."""
        return (
            await self._uow.count_changed(
                update(tenant_state)
                .where(self._mine(tenant_state), tenant_state.c.version < version)
                .values(status=str(status), version=version, updated_at=self._uow.clock.now())
            )
            == 1
        )


class VaultRepository(Repository):
    """Sites, vaults and their keys."""

    async def prepare(self, region: str, store: str) -> UUID:
        """The organization's site «cloud» and its vault, made once; the vault's objects are written later.

        The caller holds the lock on the organization's state row, so two cannot make two vaults.
        """
        found = await self._session.scalar(select(vaults.c.id).where(self._mine(vaults)).limit(1))
        if found is not None:
            return UUID(str(found))
        now = self._uow.clock.now()
        site_id, vault_id = uuid7(), uuid7()
        await self._session.execute(
            insert(sites).values(tenant_id=self._uow.tenant_id, id=site_id, name=CLOUD, queue=CLOUD, created_at=now)
        )
        await self._session.execute(
            insert(vaults).values(
                tenant_id=self._uow.tenant_id,
                id=vault_id,
                site_id=site_id,
                region=region,
                store=store,
                state=VaultState.PREPARING,
                created_at=now,
            )
        )
        return vault_id

    async def default(self) -> VaultRow:
        """The organization's vault; VaultBeingPrepared before its row is there."""
        row = (await self._session.execute(select(vaults).where(self._mine(vaults)).limit(1))).mappings().one_or_none()
        if row is None:
            raise VaultBeingPrepared
        return _vault(row)

    async def get(self, vault_id: UUID) -> VaultRow:
        row = (await self._session.execute(select(vaults).where(self._mine(vaults, id=vault_id)))).mappings().one()
        return _vault(row)

    async def queue_of(self, site_id: UUID) -> str:
        return str(await self._session.scalar(select(sites.c.queue).where(self._mine(sites, id=site_id))))

    async def all_ids(self) -> list[UUID]:
        """Every vault of the organization."""
        rows = await self._session.scalars(select(vaults.c.id).where(self._mine(vaults)))
        return [UUID(str(row)) for row in rows]

    async def unready(self) -> list[UUID]:
        """Vaults whose objects are not known to be written."""
        rows = await self._session.scalars(select(vaults.c.id).where(self._mine(vaults, state=VaultState.PREPARING)))
        return [UUID(str(row)) for row in rows]

    async def ready(self, vault_id: UUID, number: int, sealed: bytes, at: datetime) -> None:
        """Note that the vault's objects are durable, and keep the keyring's copy. Repeating it changes nothing."""
        await self._session.execute(
            upsert(vault_keys)
            .values(tenant_id=self._uow.tenant_id, vault_id=vault_id, number=number, sealed=sealed, created_at=at)
            .on_conflict_do_nothing()
        )
        await self._session.execute(
            update(vaults)
            .where(self._mine(vaults, id=vault_id, state=VaultState.PREPARING))
            .values(state=VaultState.READY, ready_at=at)
        )

    async def set_state(self, vault_id: UUID, target: VaultState, *, only_from: VaultState) -> bool:
        """Compare-and-set; False when it was in another state."""
        statement = update(vaults).where(self._mine(vaults, id=vault_id, state=only_from)).values(state=target)
        return await self._uow.count_changed(statement) == 1

    async def sealed_keyring(self, vault_id: UUID) -> bytes:
        """The newest copy of the keyring; VaultBeingPrepared before there is one."""
        sealed = await self._session.scalar(
            select(vault_keys.c.sealed)
            .where(self._mine(vault_keys, vault_id=vault_id))
            .order_by(vault_keys.c.number.desc())
            .limit(1)
        )
        if sealed is None:
            raise VaultBeingPrepared
        return bytes(sealed)


def _vault(row: RowMapping) -> VaultRow:
    return VaultRow(row["id"], row["site_id"], VaultState(row["state"]), row["gc_epoch"])
