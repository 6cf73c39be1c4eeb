"""Backup configurations and the virtual machines they protect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import delete, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from backup_engine.domain.inventory import Configuration
from backup_engine.errors import ConfigurationNotFound
from backup_engine.persistence.rows import Repository, build
from backup_engine.persistence.tables import backup_configuration_vms, backup_configurations


class ConfigurationRepository(Repository):
    """Configurations of the tenant."""

    async def add(self, configuration: Configuration) -> bool:
        """False when the organization already has one of this name."""
        values = {n: getattr(configuration, n) for n in configuration.__dataclass_fields__ if n != "vm_ids"}
        added = await self._uow.count_changed(
            upsert(backup_configurations).values(tenant_id=self._uow.tenant_id, **values).on_conflict_do_nothing()
        )
        if added:
            await self.set_machines(configuration.id, configuration.vm_ids)
        return added == 1

    async def get(self, configuration_id: UUID, *, lock: bool = False) -> Configuration:
        query = select(backup_configurations).where(self._mine(backup_configurations, id=configuration_id))
        row = (await self._session.execute(query.with_for_update() if lock else query)).mappings().one_or_none()
        if row is None:
            raise ConfigurationNotFound
        machines = await self._machines([configuration_id])
        return build(Configuration, row, vm_ids=tuple(machines.get(configuration_id, ())))

    async def page(self, after: UUID | None, size: int) -> list[Configuration]:
        query = (
            select(backup_configurations)
            .where(self._mine(backup_configurations))
            .order_by(backup_configurations.c.id)
            .limit(size)
        )
        if after is not None:
            query = query.where(backup_configurations.c.id > after)
        rows = (await self._session.execute(query)).mappings().all()
        machines = await self._machines([row["id"] for row in rows])
        return [build(Configuration, row, vm_ids=tuple(machines.get(row["id"], ()))) for row in rows]

    async def change(self, configuration_id: UUID, **values: Any) -> None:
        await self._session.execute(
            update(backup_configurations).where(self._mine(backup_configurations, id=configuration_id)).values(values)
        )

    async def set_machines(self, configuration_id: UUID, vm_ids: Sequence[UUID]) -> None:
        key = self._mine(backup_configuration_vms, configuration_id=configuration_id)
        await self._session.execute(delete(backup_configuration_vms).where(key))
        for vm_id in vm_ids:
            await self._session.execute(
                insert(backup_configuration_vms).values(
                    tenant_id=self._uow.tenant_id, configuration_id=configuration_id, vm_id=vm_id
                )
            )

    async def remove(self, configuration_id: UUID) -> None:
        await self._session.execute(
            delete(backup_configurations).where(self._mine(backup_configurations, id=configuration_id))
        )

    async def protecting(self, vm_ids: Sequence[UUID]) -> set[UUID]:
        """Those of the machines that any configuration protects."""
        rows = await self._session.scalars(
            select(backup_configuration_vms.c.vm_id)
            .where(self._mine(backup_configuration_vms), backup_configuration_vms.c.vm_id.in_(vm_ids))
            .distinct()
        )
        return {UUID(str(row)) for row in rows}

    async def _machines(self, configuration_ids: Sequence[UUID]) -> dict[UUID, list[UUID]]:
        found: dict[UUID, list[UUID]] = {}
        query = (
            select(backup_configuration_vms)
            .where(
                self._mine(backup_configuration_vms),
                backup_configuration_vms.c.configuration_id.in_(configuration_ids),
            )
            .order_by(backup_configuration_vms.c.vm_id)
        )
        for row in (await self._session.execute(query)).mappings():
            found.setdefault(row["configuration_id"], []).append(row["vm_id"])
        return found
