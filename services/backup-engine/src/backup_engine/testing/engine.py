"""A whole backup-engine in one process for tests: real database, folder store, in-process broker, clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from common.ids import uuid7
from common.messaging import Envelope
from common.messaging.in_process import InProcessBroker
from common.messaging.inbox import InboxWorker
from common.testing import ServiceClient, ServiceDatabase, service_client, test_keys
from pydantic import SecretStr
from sqlalchemy import text

from backup_engine.bootstrap import Built, assemble
from backup_engine.messaging.handlers import TENANCY, subscriptions
from backup_engine.settings import NAME, Settings
from backup_engine.workflows.dispatch import Dispatcher, VaultMaker

END_ALL = text(
    "update tasks set status = 'cancelled', finished_at = clock_timestamp(), publish_at = null"
    " where finished_at is null"
)

SILVER: dict[str, int | None] = {
    "max_esxi_servers": 5,
    "max_vms": 50,
    "max_backups_per_month": 500,
    "max_storage_gb": 500,
    "max_users": 5,
}


def provisioned(
    tenant_id: UUID, *, version: int = 1, status: str = "active", quotas: Mapping[str, int | None] | None = None
) -> Envelope:
    """Tenancy's org.provisioned, as it is on the wire."""
    now = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    event_type = "org.provisioned.v1" if status == "active" else f"org.{status}.v1"
    return Envelope(
        id=uuid7(),
        source=TENANCY,
        type=event_type,
        time=now,
        subject=str(tenant_id),
        tenantid=tenant_id,
        region="default",
        correlationid=None,
        causationid=None,
        traceparent=None,
        dataschema=f"events/{event_type}.json",
        aggregateversion=version,
        data={
            "status": status,
            "quotas": SILVER | dict(quotas or {}),
            "features": {"has_replication": True},
            "retention": {"snapshot_retention_days": 14, "backup_retention_days": 60},
            "subscription_start": now.isoformat(),
            "region": "default",
        },
    )


@dataclass(slots=True)
class Engine:
    """What tests work with."""

    built: Built
    broker: InProcessBroker
    _tenants: list[UUID] = field(default_factory=list)

    @property
    def dispatcher(self) -> Dispatcher:
        return self.built.dispatcher()

    async def receive(self, envelope: Envelope) -> None:
        """Take a fact in and handle it."""
        inbox = InboxWorker(self.built.store, subscriptions)
        await inbox.receive(envelope)
        while await inbox.handle_due():
            pass

    async def tenant(self, **quotas: int | None) -> UUID:
        """A fresh organization with its vault ready."""
        tenant_id = uuid7()
        self._tenants.append(tenant_id)
        await self.receive(provisioned(tenant_id, quotas=quotas))
        await VaultMaker(self.built.store, self.built.blobs, self.built.kms).turn()
        return tenant_id

    def client(self, tenant_id: UUID | None, *roles: str, **kwargs: Any) -> ServiceClient:
        return service_client(self.built.app(), NAME, tenant_id=tenant_id, roles=roles or ("owner",), **kwargs)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Dispatcher and runner at work."""
        stop, ready = asyncio.Event(), asyncio.Event()

        async def dispatching() -> None:
            while not stop.is_set():
                await self.dispatcher.turn()
                await asyncio.sleep(0.05)

        async with asyncio.TaskGroup() as group:
            group.create_task(dispatching())
            group.create_task(self.built.runner().run(stop, ready.set))
            try:
                await ready.wait()
                yield
            finally:
                stop.set()

    async def close(self) -> None:
        """End what this test's organizations left waiting: the next test's dispatcher works on the same database."""
        for tenant_id in self._tenants:
            async with self.built.store.for_tenant(tenant_id) as uow:
                await uow.session.execute(END_ALL)
        await self.built.close()


def settings_of(database: ServiceDatabase, folder: Path, **settings: Any) -> Settings:
    """Settings of a service on this database; its vaults and keys are below ``folder``."""
    return Settings(
        environment="test",
        **database.settings.model_dump(exclude_unset=True),
        gateway_public_keys=[test_keys()[1]],
        deployment_id="test",
        credentials_key=SecretStr("a key of the tests, at least 32 characters"),
        object_store_folder=folder / "vaults",
        kms_folder=folder / "keys",
        export_folder=folder / "exports",
        esxi_allow_loopback=True,
        **settings,
    )


async def engine_of(database: ServiceDatabase, folder: Path, **settings: Any) -> Engine:
    """A fresh engine on the database."""
    broker = InProcessBroker()
    return Engine(await assemble(settings_of(database, folder, **settings), broker), broker)
