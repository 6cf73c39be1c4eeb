"""A virtual machine as a host shows it, made into the row that is kept of it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from common.ids import uuid7

from backup_engine.domain.inventory import Machine, MachineDisk
from backup_engine.ports.hypervisor_values import VirtualMachine


def machine_seen(server_id: UUID, seen: VirtualMachine, now: datetime) -> Machine:
    """The row; its id counts only if the machine is new, for rows are found by server and moid."""
    return Machine(
        id=uuid7(),
        server_id=server_id,
        moid=seen.moid,
        name=seen.name,
        instance_uuid=seen.instance_uuid,
        power_state=str(seen.power_state),
        guest_os=seen.guest_os,
        is_template=seen.is_template,
        present=True,
        protected=False,
        cbt_unsafe=False,
        synced_at=now,
        disks=tuple(
            MachineDisk(d.key, d.label, d.capacity_bytes, d.uuid, d.file, d.datastore_moid, d.thin) for d in seen.disks
        ),
    )
