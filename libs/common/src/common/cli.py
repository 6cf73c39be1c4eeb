"""``python -m <service> …``: the commands that every service has, and those it adds."""

import argparse
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from common import contracts, crash_points
from common.audit import command as verify_audit
from common.messaging import parked_commands
from common.parts import Part, Service, main_loop, run
from common.persistence.erasure import ErasurePlan
from common.persistence.leftovers import find_leftovers
from common.persistence.migrate import upgrade
from common.persistence.provision import create_database, create_roles
from common.settings import load
from common.telemetry import logs
from common.web.parts import OpsPart

Command = Callable[[Any, argparse.Namespace], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Extra:
    """A command of a service's own; ``settings`` where it needs others than the service's parts."""

    help: str
    run: Command
    arguments: Callable[[argparse.ArgumentParser], None] = lambda _parser: None
    settings: type[Any] | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """What a service's ``__main__`` hands over.

    Attributes:
        name: The service's name, such as ``backup-engine``.
        prefix: Prefix of its roles and name of its database, such as ``backup_engine``; empty without a database.
        package_folder: Folder of the import package, where ``migrations/`` is.
        settings: Its settings class.
        build: Makes the service from settings (and a broker, in one process).
        parts: Names of its parts.
        system_roles: Suffixes of its system roles.
        documents: Returns its contract documents.
        extras: Commands of its own.
        erasure: What becomes of its tables when an organization is deleted.
    """

    name: str
    prefix: str
    package_folder: Path
    settings: type[Any]
    build: Callable[..., Awaitable[Service]]
    parts: tuple[str, ...]
    documents: Callable[[], dict[str, Any]]
    system_roles: tuple[str, ...] = ()
    extras: Mapping[str, Extra] = field(default_factory=dict)
    erasure: ErasurePlan | None = None


def main(program: Program, argv: Sequence[str] | None = None) -> None:
    """Parse the command line, run one command, leave with its status."""
    arguments = parser_of(program).parse_args(argv)
    sys.exit(main_loop(_dispatch(program, arguments)))


def parser_of(program: Program) -> argparse.ArgumentParser:
    """Return the command line of a service."""
    parser = argparse.ArgumentParser(prog=f"python -m {program.package_folder.name}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for part in program.parts:
        commands.add_parser(part, help=f"run the part «{part}» until SIGTERM")
    if program.prefix:
        commands.add_parser("migrate", help="bring the database to this code's schema, as its owner")
        create = commands.add_parser("create-database", help="make the database and its roles, as a superuser")
        create.add_argument("--admin-url", required=True, help="postgresql://superuser:password@host:port/postgres")
        parked_commands.add_commands(commands)
        commands.add_parser(verify_audit.NAME, help=verify_audit.HELP)
        left = commands.add_parser("leftovers", help="look for an organization's id in every table, as a superuser")
        left.add_argument("--admin-url", required=True, help="postgresql://superuser:password@host:port/postgres")
        left.add_argument("--tenant", required=True, type=UUID, help="the organization's id")
    check = commands.add_parser("contracts", help="write contracts/ from the code")
    check.add_argument("--check", action="store_true", help="only compare; leave with 1 when a file differs")
    for name, extra in program.extras.items():
        extra.arguments(commands.add_parser(name, help=extra.help))
    return parser


async def _dispatch(program: Program, arguments: argparse.Namespace) -> int:
    if arguments.command == "contracts":
        return _contracts(program, check=arguments.check)
    extra = program.extras.get(arguments.command)
    settings = load(extra.settings if extra and extra.settings else program.settings)
    logs.configure(program.name, settings.log_level, stream=sys.stdout)
    crash_points.arm(settings.crash_points)
    if arguments.command in program.parts:
        await _serve(program, settings, arguments.command)
        return 0
    if arguments.command == "migrate":
        await upgrade(settings, program.prefix, program.package_folder)
        return 0
    if arguments.command == "create-database":
        await _create(program, settings, arguments.admin_url)
        return 0
    return await _operate(program, settings, arguments)


async def _operate(program: Program, settings: Any, arguments: argparse.Namespace) -> int:
    if arguments.command == verify_audit.NAME:
        return await verify_audit.run_command(settings, program.prefix, program.name)
    if arguments.command == "leftovers":
        return await _leftovers(program, settings, arguments)
    if arguments.command in parked_commands.NAMES:
        return await parked_commands.run_command(settings, program.prefix, arguments)
    return await program.extras[arguments.command].run(settings, arguments)


async def _serve(program: Program, settings: Any, name: str) -> None:
    service = await program.build(settings)
    try:
        parts: list[Part] = [
            service.parts[name],
            OpsPart(service.checks_of(name), settings.ops_host, settings.ops_port),
        ]
        await run(parts)
    finally:
        await service.close()


async def _create(program: Program, settings: Any, admin_url: str) -> None:
    if settings.database_owner_password is None:
        raise SystemExit("create-database needs the owner's password (…_DATABASE_OWNER_PASSWORD)")
    await create_roles(
        admin_url,
        program.prefix,
        program.system_roles,
        password=settings.database_password.get_secret_value(),
        owner_password=settings.database_owner_password.get_secret_value(),
    )
    await create_database(admin_url, settings.database_url.rpartition("/")[2], program.prefix)


async def _leftovers(program: Program, settings: Any, arguments: argparse.Namespace) -> int:
    """List where an organization is still named; returns 1 where it should not be."""
    database = settings.database_url.rpartition("/")[2]
    found = await find_leftovers(arguments.admin_url.rpartition("/")[0] + f"/{database}", arguments.tenant)
    kept = program.erasure.kept if program.erasure else {}
    for table, rows in found.items():
        sys.stdout.write(f"{table}: {rows} rows, {kept.get(table, 'LEFT OVER')}\n")
    left = [table for table in found if table not in kept]
    sys.stdout.write(f"{program.name}: {len(left)} tables with leftovers, {len(found) - len(left)} kept.\n")
    return 1 if left else 0


def _contracts(program: Program, *, check: bool) -> int:
    folder = program.package_folder.parents[1] / "contracts"
    wanted = program.documents()
    if not check:
        contracts.write(folder, wanted)
        return 0
    stale = contracts.differing(folder, wanted)
    for name in stale:
        sys.stderr.write(f"{program.name}: contracts/{name} is not what the code makes; run `make contracts`\n")
    return 1 if stale else 0
