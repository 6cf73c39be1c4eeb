"""Keep what tenancy says of an organization; a new one gets its site and vault."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from backup_engine.domain.quota import Quotas
from backup_engine.domain.tenant import Tenant, TenantStatus
from backup_engine.persistence.unit_of_work import UnitOfWork

STORE = "default"
"""The deployment's own store; customers' own stores get names of their own."""


@dataclass(frozen=True, slots=True)
class OrganizationState:
    """The whole state, as the last fact of an organization carries it."""

    status: str
    quotas: Mapping[str, int | None]
    features: Mapping[str, bool]
    backup_retention_days: int
    anchor: datetime | None
    region: str
    version: int


async def apply_tenant_state(uow: UnitOfWork, state: OrganizationState) -> None:
    """Store the state unless a newer one is stored. The vault's objects are written by the worker afterwards."""
    tenant = Tenant(
        tenant_id=uow.tenant_id,
        status=_status(state.status),
        quotas=Quotas(dict(state.quotas)),
        backup_retention_days=state.backup_retention_days,
        anchor=state.anchor,
        version=state.version,
    )
    await uow.tenants.save(tenant, dict(state.features))
    await uow.tenants.find(lock=True)
    await uow.vaults.prepare(state.region, STORE)


def _status(name: str) -> TenantStatus:
    """A status that this version does not know forbids changes rather than allowing them."""
    try:
        return TenantStatus(name)
    except ValueError:
        return TenantStatus.SUSPENDED
