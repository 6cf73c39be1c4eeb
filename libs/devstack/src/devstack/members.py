"""The services of a stack: the only module that names them all."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import backup_engine.bootstrap
import billing.bootstrap
import gateway.bootstrap
import tenancy.bootstrap
from backup_engine.settings import Settings as BackupEngineSettings
from billing.settings import Settings as BillingSettings
from common.parts import Service
from gateway.settings import Settings as GatewaySettings
from tenancy.settings import Settings as TenancySettings


@dataclass(frozen=True)
class Member:
    """One service and what a launcher needs of it.

    Attributes:
        name: The service's name, which is its broker user's.
        module: Its import package, run by ``python -m``.
        settings: Its settings class.
        build: Makes it.
        parts: Its parts, in the order in which they are started.
        prefix: Role prefix and database name; empty where it has no database.
        system_roles: Its system roles.
        package_folder: Where its migrations are.
    """

    name: str
    module: str
    settings: type[Any]
    build: Callable[..., Awaitable[Service]]
    parts: tuple[str, ...] = ("api", "worker")
    prefix: str = ""
    system_roles: tuple[str, ...] = ()
    package_folder: Path = field(default_factory=Path)

    @property
    def variables(self) -> str:
        """Prefix of its environment variables."""
        return self.module.upper() + "_"


TENANCY = Member(
    "tenancy",
    "tenancy",
    TenancySettings,
    tenancy.bootstrap.build,
    prefix="tenancy",
    system_roles=tenancy.bootstrap.SYSTEM_ROLES,
    package_folder=tenancy.bootstrap.PACKAGE_FOLDER,
)
BILLING = Member(
    "billing",
    "billing",
    BillingSettings,
    billing.bootstrap.build,
    prefix="billing",
    system_roles=billing.bootstrap.SYSTEM_ROLES,
    package_folder=billing.bootstrap.PACKAGE_FOLDER,
)
BACKUP_ENGINE = Member(
    "backup-engine",
    "backup_engine",
    BackupEngineSettings,
    backup_engine.bootstrap.build,
    parts=("api", "worker", "runner"),
    prefix="backup_engine",
    system_roles=backup_engine.bootstrap.SYSTEM_ROLES,
    package_folder=backup_engine.bootstrap.PACKAGE_FOLDER,
)
GATEWAY = Member("gateway", "gateway", GatewaySettings, gateway.bootstrap.build, parts=("api",))

MEMBERS = (TENANCY, BILLING, BACKUP_ENGINE, GATEWAY)
WITH_DATABASE = tuple(member for member in MEMBERS if member.prefix)
