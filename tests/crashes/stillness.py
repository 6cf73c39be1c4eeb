"""What a runner that comes late could have changed: calls of the host, objects of the store, rows of the database."""

import asyncio
import hashlib
from pathlib import Path
from typing import Any

from backup_engine.adapters.folder_store import TEMPORARY
from devstack.customer import JSON
from devstack.servers.processes import wait_until
from devstack.stack import Stack

from tests.crashes.fleet import Fleet
from tests.crashes.wrecks import leave

TABLES = ("tasks", "backup_jobs", "restore_points", "point_disks", "snapshot_ledger", "chunks", "virtual_machines")
ASKING_NOTHING = frozenset(
    {
        "RetrieveContent",
        "RetrieveServiceContent",
        "RetrievePropertiesEx",
        "ContinueRetrievePropertiesEx",
        "CreateContainerView",
        "DestroyView",
        "Login",
        "Logout",
    }
)
"""Calls that change nothing but the caller's own session."""


def _store(folder: Path) -> dict[str, str]:
    """Every object of every vault with its hash; what is still being written is none, nor what a dead writer left."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(TEMPORARY))
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


async def _database(fleet: Fleet) -> dict[str, Any]:
    """Every row that the customer's backups have."""
    rows = {}
    for table in TABLES:
        query = f"SELECT t::text AS row FROM {table} AS t WHERE t.tenant_id = $1 ORDER BY 1"
        rows[table] = [found["row"] for found in await fleet.rows(query)]
    return rows


async def _asked(fleet: Fleet) -> list[JSON]:
    """What was asked, without how it was answered: an upload that was under way before ends when its sender does."""
    asked = [call for call in await fleet.calls() if call["name"] not in ASKING_NOTHING]
    return [{name: value for name, value in call.items() if name != "status"} for call in asked]


async def everything(fleet: Fleet) -> dict[str, Any]:
    """All that a late runner could change."""
    vaults = Path(fleet.stack.environment["BACKUP_ENGINE_OBJECT_STORE_FOLDER"])
    return {
        "host": await _asked(fleet),
        "store": await asyncio.to_thread(_store, vaults),
        "database": await _database(fleet),
    }


def changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What is in one of two findings of `everything` and not in the other, short enough to be read."""
    return [
        f"{sign} {line}"
        for sign, one, other in (("-", before, after), ("+", after, before))
        for line in _new(one, other)
    ]


def _new(found: dict[str, Any], than: dict[str, Any]) -> list[str]:
    return sorted(_lines(found) - _lines(than))


def _lines(found: dict[str, Any]) -> set[str]:
    host = {f"host {call}" for call in found["host"]}
    store = {f"store {name} {digest}" for name, digest in found["store"].items()}
    return host | store | {f"{table} {row}" for table, rows in found["database"].items() for row in rows}


def but_removals(found: dict[str, Any]) -> dict[str, Any]:
    """``everything`` without what the removal of left snapshots changes, which goes on by itself."""
    database = {table: rows for table, rows in found["database"].items() if table != "snapshot_ledger"}
    database["tasks"] = [row for row in database["tasks"] if "remove_snapshot" not in row]
    return {
        "host": [call for call in found["host"] if call["name"] != "RemoveSnapshot_Task"],
        "store": found["store"],
        "database": database,
    }


async def gave_up(stack: Stack, name: str) -> None:
    """Wait until the runner has said that its attempt is over; it then ends as any other does."""
    log = Path(stack.processes[name].log)
    said = await asyncio.to_thread(wait_until, lambda: "stopped: " in log.read_text(errors="replace"), 90)
    assert said, stack.processes[name].last_words
    await leave(stack, name)
