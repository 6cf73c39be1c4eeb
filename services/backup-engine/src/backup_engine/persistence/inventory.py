"""ESXi servers and what the last synchronisation saw on them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from common.ids import uuid7
from sqlalchemy import delete, exists, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from backup_engine.domain.inventory import EsxiServer, Machine, MachineDisk, Segment, Storage
from backup_engine.errors import EsxiServerNotFound, VirtualMachineNotFound
from backup_engine.persistence.rows import Repository, build
from backup_engine.persistence.tables import (
    backup_configurations,
    datastores,
    esxi_servers,
    networks,
    restore_points,
    tasks,
    virtual_disks,
    virtual_machines,
)


class ServerRepository(Repository):
    """ESXi servers of the tenant."""

    async def add(self, server: EsxiServer) -> bool:
        """False when the organization already has this host and port."""
        values = {name: getattr(server, name) for name in server.__dataclass_fields__}
        statement = upsert(esxi_servers).values(tenant_id=self._uow.tenant_id, **values).on_conflict_do_nothing()
        return await self._uow.count_changed(statement) == 1

    async def get(self, server_id: UUID, *, lock: bool = False) -> EsxiServer:
        query = select(esxi_servers).where(self._mine(esxi_servers, id=server_id))
        row = (await self._session.execute(query.with_for_update() if lock else query)).mappings().one_or_none()
        if row is None:
            raise EsxiServerNotFound
        return build(EsxiServer, row)

    async def page(self, after: UUID | None, size: int) -> list[EsxiServer]:
        query = select(esxi_servers).where(self._mine(esxi_servers)).order_by(esxi_servers.c.id).limit(size)
        if after is not None:
            query = query.where(esxi_servers.c.id > after)
        return [build(EsxiServer, row) for row in (await self._session.execute(query)).mappings()]

    async def change(self, server_id: UUID, **values: Any) -> None:
        await self._session.execute(update(esxi_servers).where(self._mine(esxi_servers, id=server_id)).values(values))

    async def in_use(self, server_id: UUID) -> bool:
        """Whether deleting it would take something with it that a person made or that restores."""
        for table in (backup_configurations, restore_points, tasks):
            if await self._session.scalar(select(exists().where(self._mine(table, server_id=server_id)))):
                return True
        return False

    async def remove(self, server_id: UUID) -> None:
        await self._session.execute(delete(esxi_servers).where(self._mine(esxi_servers, id=server_id)))


class MachineRepository(Repository):
    """Virtual machines and their disks."""

    async def get(self, vm_id: UUID, *, lock: bool = False) -> Machine:
        query = select(virtual_machines).where(self._mine(virtual_machines, id=vm_id))
        row = (await self._session.execute(query.with_for_update() if lock else query)).mappings().one_or_none()
        if row is None:
            raise VirtualMachineNotFound
        disks = await self._disks([vm_id])
        return build(Machine, row, disks=tuple(disks.get(vm_id, ())))

    async def many(self, vm_ids: Sequence[UUID], *, lock: bool = False) -> list[Machine]:
        """The machines in the order of their ids (so that two lockers never wait for each other); unknown ones miss."""
        query = (
            select(virtual_machines)
            .where(self._mine(virtual_machines), virtual_machines.c.id.in_(vm_ids))
            .order_by(virtual_machines.c.id)
        )
        rows = (await self._session.execute(query.with_for_update() if lock else query)).mappings().all()
        disks = await self._disks(vm_ids)
        return [build(Machine, row, disks=tuple(disks.get(row["id"], ()))) for row in rows]

    async def page(self, server_id: UUID | None, after: UUID | None, size: int) -> list[Machine]:
        query = select(virtual_machines).where(self._mine(virtual_machines)).order_by(virtual_machines.c.id).limit(size)
        if server_id is not None:
            query = query.where(virtual_machines.c.server_id == server_id)
        if after is not None:
            query = query.where(virtual_machines.c.id > after)
        rows = (await self._session.execute(query)).mappings().all()
        disks = await self._disks([row["id"] for row in rows])
        return [build(Machine, row, disks=tuple(disks.get(row["id"], ()))) for row in rows]

    async def protect(self, vm_ids: Sequence[UUID], *, protected: bool = True) -> list[UUID]:
        """Mark the machines as (un)protected; returns those for which that was new."""
        changed = await self._session.scalars(
            update(virtual_machines)
            .where(
                self._mine(virtual_machines),
                virtual_machines.c.id.in_(vm_ids),
                virtual_machines.c.protected.is_(not protected),
            )
            .values(protected=protected)
            .returning(virtual_machines.c.id)
        )
        return [UUID(str(vm_id)) for vm_id in changed]

    async def change(self, vm_id: UUID, **values: Any) -> None:
        await self._session.execute(
            update(virtual_machines).where(self._mine(virtual_machines, id=vm_id)).values(values)
        )

    async def by_moid(self, server_id: UUID, moid: str) -> UUID | None:
        found = await self._session.scalar(
            select(virtual_machines.c.id).where(self._mine(virtual_machines, server_id=server_id, moid=moid))
        )
        return None if found is None else UUID(str(found))

    async def store(self, machine: Machine) -> UUID:
        """Insert or refresh one machine by (server, moid) with its disks; its id and protection stay."""
        seen = {
            "name": machine.name,
            "instance_uuid": machine.instance_uuid,
            "power_state": machine.power_state,
            "guest_os": machine.guest_os,
            "is_template": machine.is_template,
            "present": True,
            "synced_at": machine.synced_at,
        }
        vm_id = await self._session.scalar(
            upsert(virtual_machines)
            .values(tenant_id=self._uow.tenant_id, id=uuid7(), server_id=machine.server_id, moid=machine.moid, **seen)
            .on_conflict_do_update(index_elements=["tenant_id", "server_id", "moid"], set_=seen)
            .returning(virtual_machines.c.id)
        )
        await self._session.execute(delete(virtual_disks).where(self._mine(virtual_disks, vm_id=vm_id)))
        for disk in machine.disks:
            values = {name: getattr(disk, name) for name in disk.__dataclass_fields__}
            await self._session.execute(
                insert(virtual_disks).values(tenant_id=self._uow.tenant_id, vm_id=vm_id, **values)
            )
        return UUID(str(vm_id))

    async def forget_unseen(self, server_id: UUID, since: datetime) -> None:
        """Mark machines that the synchronisation did not see as gone; their restore points stay."""
        await self._session.execute(
            update(virtual_machines)
            .where(self._mine(virtual_machines, server_id=server_id), virtual_machines.c.synced_at < since)
            .values(present=False)
        )

    async def _disks(self, vm_ids: Iterable[UUID]) -> dict[UUID, list[MachineDisk]]:
        found: dict[UUID, list[MachineDisk]] = {}
        query = (
            select(virtual_disks)
            .where(self._mine(virtual_disks), virtual_disks.c.vm_id.in_(list(vm_ids)))
            .order_by(virtual_disks.c.vm_id, virtual_disks.c.key)
        )
        for row in (await self._session.execute(query)).mappings():
            found.setdefault(row["vm_id"], []).append(build(MachineDisk, row))
        return found


class PlacementRepository(Repository):
    """Datastores and networks: where a restored machine can go."""

    async def datastores(self, server_id: UUID | None, after: UUID | None, size: int) -> list[Storage]:
        query = select(datastores).where(self._mine(datastores)).order_by(datastores.c.id).limit(size)
        if server_id is not None:
            query = query.where(datastores.c.server_id == server_id)
        if after is not None:
            query = query.where(datastores.c.id > after)
        return [build(Storage, row) for row in (await self._session.execute(query)).mappings()]

    async def networks(self, server_id: UUID) -> list[Segment]:
        query = select(networks).where(self._mine(networks, server_id=server_id)).order_by(networks.c.id)
        return [build(Segment, row) for row in (await self._session.execute(query)).mappings()]

    async def replace(self, server_id: UUID, storages: Iterable[Storage], segments: Iterable[Segment]) -> None:
        """Make the rows equal to what was seen; ids of what stays are kept."""
        for table, seen in ((datastores, list(storages)), (networks, list(segments))):
            for one in seen:
                values = {name: getattr(one, name) for name in one.__dataclass_fields__}
                await self._session.execute(
                    upsert(table)
                    .values(tenant_id=self._uow.tenant_id, **values)
                    .on_conflict_do_update(
                        index_elements=["tenant_id", "server_id", "moid"],
                        set_={name: value for name, value in values.items() if name not in {"id", "server_id", "moid"}},
                    )
                )
            await self._session.execute(
                delete(table).where(
                    self._mine(table, server_id=server_id), table.c.moid.not_in([one.moid for one in seen])
                )
            )
