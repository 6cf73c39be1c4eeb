"""Numbers and chains committed rows, a chain per organization and one for the platform.

Sealing comes after the act's commit, so that acts never wait for each other's place in a chain. Each day's heads go
to a folder outside of the database (a mounted bucket with object lock): who rewrites a whole chain does not fit them.
"""

import asyncio
import json
import logging
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import distinct_on

from common.audit.chain import GENESIS, content_hash, link
from common.audit.fact import AuditRecorded
from common.persistence.mechanisms import audit_log
from common.persistence.store import Store
from common.persistence.transaction import Transaction

log = logging.getLogger(__name__)

PAUSE = timedelta(seconds=2)
"""Between two looks for unsealed rows; a row is sealed within five seconds of its commit."""

BATCH = 500

PLATFORM = "platform"
"""Name of the chain of rows that belong to no organization."""

_ONE_SEALER = text("select pg_advisory_xact_lock(hashtext('audit-seal'))")


class Sealer:
    """Part of every worker with a database.

    Args:
        store: The service's doors.
        announce: Whether rows go out as `audit.recorded`; the platform's name no organization.
        heads_folder: Where each day's heads are kept; ``None`` leaves them in the log only.
    """

    def __init__(self, store: Store[Any], *, announce: bool = True, heads_folder: Path | None = None) -> None:
        self._store = store
        self._announce = announce
        self._heads_folder = heads_folder

    async def seal(self) -> int:
        """Seal everything that is committed; return how many rows."""
        sealed = 0
        while batch := await self._seal_batch():
            sealed += batch
            if batch < BATCH:
                break
        return sealed

    async def _seal_batch(self) -> int:
        async with self._store.for_system("audit") as uow:
            await uow.session.execute(_ONE_SEALER)
            unsealed = select(audit_log).where(audit_log.c.number.is_(None))
            rows = (
                await uow.session.execute(unsealed.order_by(audit_log.c.at, audit_log.c.id).limit(BATCH))
            ).mappings()
            heads: dict[UUID | None, tuple[int, bytes]] = {}
            count = 0
            for row in map(dict[str, Any], rows.all()):
                chain = row["tenant_id"]
                if chain not in heads:
                    heads[chain] = await _head(uow, chain)
                heads[chain] = await self._put_on(uow, row, *heads[chain])
                count += 1
        return count

    async def _put_on(
        self, uow: Transaction, row: Mapping[str, Any], number: int, previous: bytes
    ) -> tuple[int, bytes]:
        number += 1
        content = content_hash(row)
        hashed = link(previous, number, row, content)
        seal = update(audit_log).where(audit_log.c.id == row["id"])
        await uow.session.execute(seal.values(number=number, content_hash=content, hash=hashed))
        if self._announce:
            named = ("id", "at", "actor", "action", "target", "reason", "address", "details")
            fact = AuditRecorded(number=number, **{name: row[name] for name in named})
            await uow.publish(fact, subject=str(row["id"]), tenant_id=row["tenant_id"])
        return number, hashed

    async def keep_heads(self) -> Path | None:
        """Write the heads of all chains once a day, to a file that is never overwritten; return the file."""
        async with self._store.for_system("audit") as uow:
            today = uow.clock.now().date()
            target = self._heads_folder and self._heads_folder / uow.source / f"{today}.json"
            if target is not None and await asyncio.to_thread(target.exists):
                return None
            heads = await all_heads(uow)
        log.info("audit heads", extra={"chains": len(heads)})
        if target is not None:
            await asyncio.to_thread(_create, target, heads)
        return target


async def _head(uow: Transaction, tenant_id: UUID | None) -> tuple[int, bytes]:
    newest = (
        select(audit_log.c.number, audit_log.c.hash)
        .where(audit_log.c.tenant_id.is_not_distinct_from(tenant_id), audit_log.c.number.is_not(None))
        .order_by(audit_log.c.number.desc())
        .limit(1)
    )
    row = (await uow.session.execute(newest)).one_or_none()
    return (0, GENESIS) if row is None else (row.number, row.hash)


async def all_heads(uow: Transaction) -> dict[str, dict[str, Any]]:
    """Return each chain's last number and hash, by the organization's id or `PLATFORM`."""
    rows = await uow.session.execute(
        select(audit_log.c.tenant_id, audit_log.c.number, audit_log.c.hash)
        .where(audit_log.c.number.is_not(None))
        .ext(distinct_on(audit_log.c.tenant_id))
        .order_by(audit_log.c.tenant_id, audit_log.c.number.desc())
    )
    return {str(row.tenant_id or PLATFORM): {"number": row.number, "hash": row.hash.hex()} for row in rows}


def _create(target: Path, heads: Mapping[str, Any]) -> None:
    """Write a file whole or not at all, and never over another."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # A process id is the same in every container, and in the one after a crash.
    partial = target.with_suffix(f".{uuid4().hex}")
    with partial.open("x") as file:
        json.dump(heads, file, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(partial, target)
    except FileExistsError:
        log.info("audit heads of the day are there already")
    finally:
        partial.unlink()
