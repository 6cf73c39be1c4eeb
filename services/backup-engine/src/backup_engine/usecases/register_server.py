"""Register, change and remove ESXi servers. Whether a server answers is a separate act: see connect_server."""

from __future__ import annotations

from uuid import UUID

from common.ids import uuid7

from backup_engine.domain.inventory import EsxiServer
from backup_engine.domain.quota import Resource
from backup_engine.domain.tenant import Tenant
from backup_engine.errors import EsxiServerExists, EsxiServerInUse
from backup_engine.persistence.unit_of_work import UnitOfWork
from backup_engine.ports.secrets import SecretBox
from backup_engine.usecases.report_usage import report_usage, warn_when_near


def seal_context(tenant_id: UUID, server_id: UUID) -> bytes:
    """What a server's password is sealed for: its row and no other."""
    return tenant_id.bytes + server_id.bytes


async def register_server(
    uow: UnitOfWork,
    tenant: Tenant,
    box: SecretBox,
    *,
    hostname: str,
    port: int,
    username: str,
    password: str,
    thumbprint: str | None,
    created_by: UUID,
) -> EsxiServer:
    """Add a server; its place under the quota is taken in the same transaction.

    Raises:
        QuotaReached: the plan's number of servers is reached.
        EsxiServerExists: the organization has this host and port already.
    """
    vault = await uow.vaults.default()
    server_id = uuid7()
    server = EsxiServer(
        id=server_id,
        site_id=vault.site_id,
        hostname=hostname,
        port=port,
        username=username,
        sealed_password=box.seal(password, seal_context(uow.tenant_id, server_id)),
        thumbprint=thumbprint,
        connection_status="unknown",
        last_connection=None,
        last_error=None,
        product=None,
        is_active=True,
        created_by=created_by,
        created_at=uow.clock.now(),
        synced_at=None,
    )
    used = await uow.quota.take(tenant.quotas, Resource.ESXI_SERVERS)
    if not await uow.servers.add(server):
        raise EsxiServerExists(hostname=hostname, port=port)
    await report_usage(uow, tenant, Resource.ESXI_SERVERS)
    await warn_when_near(uow, tenant.quotas, Resource.ESXI_SERVERS, used - 1, used)
    await uow.audit("esxi_server.registered", str(server_id), actor=created_by)
    return server


async def change_server(
    uow: UnitOfWork,
    box: SecretBox,
    server_id: UUID,
    *,
    actor: UUID,
    username: str | None = None,
    password: str | None = None,
    thumbprint: str | None = None,
    is_active: bool | None = None,
) -> EsxiServer:
    """Change what is given; new credentials or a new certificate make the connection unknown again."""
    await uow.servers.get(server_id, lock=True)
    values: dict[str, object] = {
        name: value
        for name, value in {"username": username, "thumbprint": thumbprint, "is_active": is_active}.items()
        if value is not None
    }
    if password is not None:
        values["sealed_password"] = box.seal(password, seal_context(uow.tenant_id, server_id))
    if values.keys() & {"username", "sealed_password", "thumbprint"}:
        values |= {"connection_status": "unknown", "last_error": None}
    if values:
        await uow.servers.change(server_id, **values)
        await uow.audit("esxi_server.changed", str(server_id), actor=actor, details={"fields": sorted(values)})
    return await uow.servers.get(server_id)


async def remove_server(uow: UnitOfWork, tenant: Tenant, server_id: UUID, *, actor: UUID) -> None:
    """Remove a server that nothing refers to; its place under the quota is free again.

    Raises:
        EsxiServerInUse: configurations, jobs or restore points refer to it.
    """
    await uow.servers.get(server_id, lock=True)
    if await uow.servers.in_use(server_id):
        raise EsxiServerInUse
    await uow.servers.remove(server_id)
    await uow.quota.give_back(Resource.ESXI_SERVERS)
    await report_usage(uow, tenant, Resource.ESXI_SERVERS)
    await uow.audit("esxi_server.removed", str(server_id), actor=actor)
