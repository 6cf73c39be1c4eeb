"""What an organization has on its hosts: servers, virtual machines, their disks, datastores and networks."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class EsxiServer:
    """A host or vCenter that a customer registered; its password is sealed and never part of an answer."""

    id: UUID
    site_id: UUID
    hostname: str
    port: int
    username: str
    sealed_password: bytes = field(repr=False)
    thumbprint: str | None
    connection_status: str
    last_connection: datetime | None
    last_error: dict[str, Any] | None
    product: dict[str, Any] | None
    is_active: bool
    created_by: UUID
    created_at: datetime
    synced_at: datetime | None


@dataclass(frozen=True, slots=True)
class MachineDisk:
    """A disk as the last synchronisation saw it; backups read the devices anew."""

    key: int
    label: str
    capacity_bytes: int
    uuid: str | None
    file: str
    datastore_moid: str | None
    thin: bool


@dataclass(frozen=True, slots=True)
class Machine:
    """A virtual machine as the last synchronisation saw it. ``present`` is false once the host no longer has it."""

    id: UUID
    server_id: UUID
    moid: str
    name: str
    instance_uuid: str | None
    power_state: str
    guest_os: str | None
    is_template: bool
    present: bool
    protected: bool
    cbt_unsafe: bool
    synced_at: datetime
    disks: tuple[MachineDisk, ...] = ()

    @property
    def capacity_bytes(self) -> int:
        return sum(disk.capacity_bytes for disk in self.disks)

    @property
    def datastore(self) -> str | None:
        """Where its first disk lies: the place that it takes under the datastores' limit."""
        return self.disks[0].datastore_moid if self.disks else None


@dataclass(frozen=True, slots=True)
class Storage:
    """A datastore."""

    id: UUID
    server_id: UUID
    moid: str
    name: str
    type: str
    capacity_bytes: int
    free_bytes: int
    accessible: bool
    synced_at: datetime


@dataclass(frozen=True, slots=True)
class Segment:
    """A network or port group."""

    id: UUID
    server_id: UUID
    moid: str
    name: str
    synced_at: datetime


@dataclass(frozen=True, slots=True)
class Configuration:
    """Which virtual machines of one server are backed up, and how."""

    id: UUID
    server_id: UUID
    name: str
    quiesce: str
    retention_days: int | None
    is_active: bool
    created_by: UUID
    created_at: datetime
    updated_at: datetime
    vm_ids: tuple[UUID, ...] = ()
