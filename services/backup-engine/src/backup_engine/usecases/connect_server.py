"""Talk to a customer's host for its inventory: test the connection, synchronise, list where a machine can go, power.

Each act is three steps that its edge composes: read what is needed (a transaction), call the host (none), record the
outcome (a transaction). The steps with transactions are here as functions of an open one; `Calls` is the middle.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from common.ids import uuid7

from backup_engine.domain.inventory import EsxiServer, Segment, Storage
from backup_engine.domain.problem import problem_of
from backup_engine.errors import EsxiServerInactive
from backup_engine.persistence.unit_of_work import UnitOfWork
from backup_engine.ports.hypervisor import Hypervisor, HypervisorConnector
from backup_engine.ports.hypervisor_values import Credentials, Endpoint, Inventory
from backup_engine.ports.secrets import SecretBox
from backup_engine.usecases.register_server import seal_context
from backup_engine.usecases.steps.seen_machines import machine_seen


@dataclass(frozen=True, slots=True)
class Target:
    """A server with its credentials opened, to be called outside of any transaction."""

    server_id: UUID
    endpoint: Endpoint
    credentials: Credentials


async def target_of(uow: UnitOfWork, box: SecretBox, server_id: UUID) -> Target:
    """Raises EsxiServerNotFound, EsxiServerInactive, CredentialsUnreadable."""
    server = await uow.servers.get(server_id)
    if not server.is_active:
        raise EsxiServerInactive
    password = box.open(server.sealed_password, seal_context(uow.tenant_id, server_id))
    return Target(
        server_id, Endpoint(server.hostname, server.port, server.thumbprint), Credentials(server.username, password)
    )


@asynccontextmanager
async def connected(connector: HypervisorConnector, target: Target) -> AsyncIterator[Hypervisor]:
    """A session that is logged out at the end, whatever happens."""
    hypervisor = await connector.connect(target.endpoint, target.credentials)
    try:
        yield hypervisor
    finally:
        await hypervisor.close()


@dataclass(frozen=True, slots=True)
class Answered:
    """What a host said when it was asked."""

    thumbprint: str
    product: dict[str, str | bool | None]
    inventory: Inventory | None = None


async def ask(connector: HypervisorConnector, target: Target, *, inventory: bool) -> Answered:
    """Log in, and read the inventory when wanted. Raises the HypervisorErrors of connecting."""
    async with connected(connector, target) as hypervisor:
        about = await hypervisor.about()
        seen = await hypervisor.inventory() if inventory else None
        product: dict[str, str | bool | None] = {
            "name": about.full_name,
            "version": about.version,
            "build": about.build,
            "is_vcenter": about.is_vcenter,
        }
        return Answered(hypervisor.thumbprint, product, seen)


async def record_answer(uow: UnitOfWork, server_id: UUID, answered: Answered) -> EsxiServer:
    """Note that the host answered; the certificate of a first use is pinned, a pinned one is never replaced here."""
    server = await uow.servers.get(server_id, lock=True)
    await uow.servers.change(
        server_id,
        connection_status="connected",
        last_connection=uow.clock.now(),
        last_error=None,
        product=answered.product,
        thumbprint=server.thumbprint or answered.thumbprint,
    )
    return await uow.servers.get(server_id)


async def record_failure(uow: UnitOfWork, server_id: UUID, error: Exception) -> None:
    """Note why the host could not be used."""
    await uow.servers.change(server_id, connection_status="failed", last_error=dict(problem_of(error)))


async def record_inventory(uow: UnitOfWork, server_id: UUID, inventory: Inventory) -> dict[str, int]:
    """Make the rows equal to what was seen; machines that are gone keep their row and their points."""
    now = uow.clock.now()
    for seen in inventory.virtual_machines:
        await uow.machines.store(machine_seen(server_id, seen, now))
    await uow.machines.forget_unseen(server_id, now)
    await uow.placements.replace(
        server_id,
        [
            Storage(uuid7(), server_id, d.moid, d.name, d.type, d.capacity_bytes, d.free_bytes, d.accessible, now)
            for d in inventory.datastores
        ],
        [Segment(uuid7(), server_id, n.moid, n.name, now) for n in inventory.networks],
    )
    await uow.servers.change(server_id, synced_at=now)
    return {
        "virtual_machines": len(inventory.virtual_machines),
        "datastores": len(inventory.datastores),
        "networks": len(inventory.networks),
    }
