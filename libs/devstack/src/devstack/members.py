"""The services of a stack: the only module that names them all."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from common.parts import Service


@dataclass(frozen=True)
class Member:
    """One service and what a launcher needs of it. Its code is imported when it is first asked for: that takes
    seconds of processor time for all of them, in which servers can start already.

    Attributes:
        name: The service's name, which is its broker user's.
        module: Its import package, run by ``python -m``.
        parts: Its parts, in the order in which they are started.
        prefix: Role prefix and database name; empty where it has no database.
    """

    name: str
    module: str
    parts: tuple[str, ...] = ("api", "worker")
    prefix: str = ""

    @property
    def variables(self) -> str:
        """Prefix of its environment variables."""
        return self.module.upper() + "_"

    @property
    def settings(self) -> type[Any]:
        """Its settings class."""
        found: type[Any] = import_module(f"{self.module}.settings").Settings
        return found

    @property
    def build(self) -> Callable[..., Awaitable[Service]]:
        """Makes it."""
        made: Callable[..., Awaitable[Service]] = self._bootstrap.build
        return made

    @property
    def system_roles(self) -> tuple[str, ...]:
        """Its system roles; of a member with a database."""
        roles: tuple[str, ...] = self._bootstrap.SYSTEM_ROLES
        return roles

    @property
    def package_folder(self) -> Path:
        """Where its migrations are; of a member with a database."""
        folder: Path = self._bootstrap.PACKAGE_FOLDER
        return folder

    @property
    def _bootstrap(self) -> ModuleType:
        return import_module(f"{self.module}.bootstrap")


TENANCY = Member("tenancy", "tenancy", prefix="tenancy")
BILLING = Member("billing", "billing", prefix="billing")
BACKUP_ENGINE = Member("backup-engine", "backup_engine", parts=("api", "worker", "runner"), prefix="backup_engine")
GATEWAY = Member("gateway", "gateway", parts=("api",))

MEMBERS = (TENANCY, BILLING, BACKUP_ENGINE, GATEWAY)
WITH_DATABASE = tuple(member for member in MEMBERS if member.prefix)
