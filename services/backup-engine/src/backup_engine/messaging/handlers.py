"""Facts of tenancy: organizations come, change and go."""

from __future__ import annotations

from datetime import datetime

from common.messaging import Envelope, Subscriptions
from pydantic import BaseModel, ConfigDict

from backup_engine.domain.tenant import TenantStatus
from backup_engine.errors import PredecessorMissing
from backup_engine.persistence.unit_of_work import UnitOfWork
from backup_engine.usecases.apply_tenant_state import OrganizationState, apply_tenant_state

subscriptions = Subscriptions(consumer="backup-engine")

TENANCY = "tenancy"


class Organization(BaseModel):
    """What we read of an organization's state."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    status: str
    quotas: dict[str, int | None]
    features: dict[str, bool] = {}
    retention: dict[str, int]
    subscription_start: datetime | None = None
    region: str = "default"


class Deleted(BaseModel):
    """The fact that an organization is gone says nothing that we need."""

    model_config = ConfigDict(extra="ignore", frozen=True)


async def _apply(event: Organization, uow: UnitOfWork, envelope: Envelope) -> None:
    state = OrganizationState(
        status=event.status,
        quotas=event.quotas,
        features=event.features,
        backup_retention_days=event.retention["backup_retention_days"],
        anchor=event.subscription_start,
        region=event.region,
        version=envelope.aggregateversion,
    )
    await apply_tenant_state(uow, state)


@subscriptions.on("org.provisioned", source=TENANCY)
async def provisioned(event: Organization, uow: UnitOfWork, envelope: Envelope) -> None:
    await _apply(event, uow, envelope)


@subscriptions.on("org.plan_changed", source=TENANCY)
async def plan_changed(event: Organization, uow: UnitOfWork, envelope: Envelope) -> None:
    await _apply(event, uow, envelope)


@subscriptions.on("org.updated", source=TENANCY)
async def updated(event: Organization, uow: UnitOfWork, envelope: Envelope) -> None:
    """A name or an owner says nothing here, but the version that it brings is the newest."""
    await _apply(event, uow, envelope)


@subscriptions.on("org.suspended", source=TENANCY)
async def suspended(event: Organization, uow: UnitOfWork, envelope: Envelope) -> None:
    await _apply(event, uow, envelope)


@subscriptions.on("org.reactivated", source=TENANCY)
async def reactivated(event: Organization, uow: UnitOfWork, envelope: Envelope) -> None:
    await _apply(event, uow, envelope)


@subscriptions.on("org.expired", source=TENANCY)
async def expired(event: Organization, uow: UnitOfWork, envelope: Envelope) -> None:
    await _apply(event, uow, envelope)


@subscriptions.on("org.deleted", source=TENANCY)
async def deleted(event: Deleted, uow: UnitOfWork, envelope: Envelope) -> None:
    """Close the organization here; the eraser takes its keys, objects and rows afterwards."""
    del event
    if await uow.tenants.find(lock=True) is None:
        raise PredecessorMissing
    await uow.tenants.set_status(TenantStatus.DELETED, envelope.aggregateversion)
    await uow.request_erasure()
