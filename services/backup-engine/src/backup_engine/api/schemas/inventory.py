"""ESXi servers, virtual machines, datastores, networks."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from common.web import Answer, Body
from pydantic import AfterValidator, Field, SecretStr

from backup_engine.domain.inventory import EsxiServer, Machine, Segment, Storage
from backup_engine.domain.problem import shown

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.\-]{0,251}[A-Za-z0-9])?|\[?[0-9A-Fa-f:]{2,45}\]?")


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise ValueError("a host name or address, without scheme, port or path")
    return value.strip("[]").lower()


def _thumbprint(value: str) -> str:
    plain = value.replace(":", "").replace(" ", "").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", plain):
        raise ValueError("the SHA-256 of the certificate: 64 hexadecimal digits, colons allowed")
    return plain


Hostname = Annotated[str, AfterValidator(_host)]
Thumbprint = Annotated[str, AfterValidator(_thumbprint)]
Username = Annotated[str, Field(min_length=1, max_length=255)]
Password = Annotated[SecretStr, Field(min_length=1, max_length=1000)]


class EsxiServerIn(Body):
    """A host or vCenter to be registered. Without a thumbprint the certificate is pinned at first use."""

    hostname: Hostname
    port: Annotated[int, Field(ge=1, le=65535)] = 443
    username: Username
    password: Password
    thumbprint: Thumbprint | None = None


class EsxiServerChange(Body):
    """What may change; a new thumbprint accepts a replaced certificate."""

    username: Username | None = None
    password: Password | None = None
    thumbprint: Thumbprint | None = None
    is_active: bool | None = None


class EsxiServerOut(Answer):
    """A server; its password is never part of an answer."""

    id: UUID
    hostname: str
    port: int
    username: str
    thumbprint: str | None
    connection_status: str
    last_connection: datetime | None
    last_error: dict[str, Any] | None
    product: dict[str, Any] | None
    is_active: bool
    created_by: UUID
    created_at: datetime
    synced_at: datetime | None

    @classmethod
    def of(cls, server: EsxiServer, language: str) -> Self:
        fields = {name: getattr(server, name) for name in cls.model_fields if name != "last_error"}
        problem = server.last_error
        return cls(**fields, last_error=None if problem is None else shown(problem, language))  # type: ignore[arg-type]


class ConnectionOut(Answer):
    """What a connection test found. ``success`` is always true: failures are problems."""

    success: bool
    thumbprint: str
    product: dict[str, Any]
    server: EsxiServerOut


class SyncOut(Answer):
    """How much a synchronisation saw."""

    virtual_machines: int
    datastores: int
    networks: int
    synced_at: datetime


class DiskOut(Answer):
    key: int
    label: str
    capacity_bytes: int


class MachineOut(Answer):
    """A virtual machine. ``present`` is false once its host no longer has it."""

    id: UUID
    server_id: UUID
    moid: str
    name: str
    power_state: str
    guest_os: str | None
    is_template: bool
    present: bool
    protected: bool
    disks: list[DiskOut]
    synced_at: datetime

    @classmethod
    def of(cls, machine: Machine) -> Self:
        return cls.model_validate(machine)


class DatastoreOut(Answer):
    id: UUID
    server_id: UUID
    moid: str
    name: str
    type: str
    capacity_bytes: int
    free_bytes: int
    accessible: bool
    synced_at: datetime

    @classmethod
    def of(cls, storage: Storage) -> Self:
        return cls.model_validate(storage)


class NetworkOut(Answer):
    id: UUID
    server_id: UUID
    moid: str
    name: str

    @classmethod
    def of(cls, segment: Segment) -> Self:
        return cls.model_validate(segment)


class PowerIn(Body):
    """``shutdown`` asks the guest and needs VMware Tools; ``off`` is hard."""

    action: Literal["on", "off", "shutdown"]
