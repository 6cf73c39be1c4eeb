"""Reads the chains again and names the first row of each that does not fit."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select

from common.audit.chain import GENESIS, content_hash, link
from common.audit.sealer import PLATFORM
from common.persistence.mechanisms import audit_log
from common.persistence.store import Store

SEALED_WITHIN = timedelta(minutes=1)
"""A row that is older and has no seal is a fault: the sealer does not run, or somebody took the seal off."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The first thing wrong with a chain: at which number, in which row, and what."""

    chain: str
    number: int | None
    row: UUID | None
    what: str


async def verify(store: Store[Any], *, heads_folder: Path | None = None) -> tuple[int, list[Fault]]:
    """Return how many sealed rows were read, and the first fault of each chain.

    Raises nothing for a broken chain: the others are read as well.
    """
    async with store.for_system("audit") as uow:
        chains = (await uow.session.scalars(select(audit_log.c.tenant_id).distinct())).all()
        kept = _kept_heads(heads_folder / uow.source) if heads_folder else {}
        faults, read = [], 0
        for chain in chains:
            count, fault = await _verify_chain(uow, chain, kept.pop(str(chain or PLATFORM), {}))
            read += count
            faults += [fault] if fault else []
    faults += [
        Fault(chain, min(heads), None, f"the chain is gone; its head of {heads[min(heads)][0]} is kept")
        for chain, heads in kept.items()
    ]
    return read, faults


async def verify_platform_chain(uow: Any, *, heads_folder: Path | None = None) -> tuple[int, Fault | None]:
    """Return how many sealed rows of the chain without an organization were read, and the first fault.

    In the caller's transaction, whose role has to see these rows.
    """
    kept = await asyncio.to_thread(_kept_heads, heads_folder / uow.source) if heads_folder else {}
    return await _verify_chain(uow, None, kept.get(PLATFORM, {}))


Heads = dict[int, tuple[str, str]]
"""Number → day and hash, as kept outside of the database."""


def _kept_heads(folder: Path) -> dict[str, Heads]:
    kept: dict[str, Heads] = {}
    for file in sorted(folder.glob("*.json")):
        for chain, head in json.loads(file.read_text()).items():
            kept.setdefault(chain, {})[head["number"]] = (file.stem, head["hash"])
    return kept


async def _verify_chain(uow: Any, tenant_id: UUID | None, heads: Heads) -> tuple[int, Fault | None]:
    chain, previous, number = str(tenant_id or PLATFORM), GENESIS, 0
    async for row in _rows(uow, tenant_id):
        number += 1
        if what := _wrong(row, number, previous, heads.pop(number, None)):
            return number, Fault(chain, number, row["id"], what)
        previous = row["hash"]
    if heads:
        lost = min(heads)
        return number, Fault(chain, lost, None, f"rows are missing at the end; the head of {heads[lost][0]} is kept")
    unsealed = select(audit_log.c.id).where(
        audit_log.c.tenant_id.is_not_distinct_from(tenant_id),
        audit_log.c.number.is_(None),
        audit_log.c.at < uow.clock.now() - SEALED_WITHIN,
    )
    late = (await uow.session.execute(unsealed.order_by(audit_log.c.at).limit(1))).scalar_one_or_none()
    return number, Fault(chain, None, late, "not sealed after a minute") if late else None


def _wrong(row: Any, number: int, previous: bytes, head: tuple[str, str] | None) -> str | None:
    if row["number"] != number:
        return f"row {number} is missing"
    if row["erased_at"] is None and content_hash(row) != row["content_hash"]:
        return "reason, address or details were changed"
    if link(previous, number, row, row["content_hash"]) != row["hash"]:
        return "the row was changed, or one before it"
    if head is not None and head[1] != row["hash"].hex():
        return f"the chain was written anew: its head of {head[0]} was another"
    return None


async def _rows(uow: Any, tenant_id: UUID | None) -> AsyncIterator[Any]:
    after = 0
    while True:
        page = (
            select(audit_log)
            .where(audit_log.c.tenant_id.is_not_distinct_from(tenant_id), audit_log.c.number > after)
            .order_by(audit_log.c.number)
            .limit(1000)
        )
        rows = (await uow.session.execute(page)).mappings().all()
        for row in rows:
            yield row
        if not rows:
            return
        after = rows[-1]["number"]
