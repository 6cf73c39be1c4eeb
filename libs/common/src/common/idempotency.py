"""A creating POST with an ``Idempotency-Key`` is executed once, and answers the same again for 48 hours.

The key's row is inserted in the transaction of the act: only the insert's winner executes, a concurrent second
waits for its commit and then answers what the first did.
"""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from common.errors import Invalid
from common.persistence.mechanisms import idempotency_keys
from common.persistence.store import Store
from common.persistence.transaction import Transaction

KEPT = timedelta(hours=48)
LONGEST_KEY = 200


class IdempotencyKeyReused(Invalid):
    code = "idempotency_key_reused"
    en = "This Idempotency-Key was used with another body. Use a new key for a new request."
    fr = "Cette clé Idempotency-Key a déjà servi avec un autre contenu. Utilisez une nouvelle clé."


class IdempotencyKeyMalformed(Invalid):
    code = "idempotency_key_malformed"
    en = "An Idempotency-Key has 1 to 200 characters."
    fr = "Une clé Idempotency-Key compte de 1 à 200 caractères."


def fingerprint(body: bytes) -> str:
    """Return what two bodies are compared by."""
    return hashlib.sha256(body).hexdigest()


async def once(
    uow: Transaction,
    scope_id: UUID,
    route: str,
    key: str | None,
    body: bytes,
    act: Callable[[], Awaitable[tuple[int, Any]]],
) -> tuple[int, Any]:
    """Execute ``act`` unless the key has been executed, and return status and JSON answer.

    Args:
        uow: The act's own transaction.
        scope_id: The tenant, or the person where there is no tenant.
        route: Method and route template.
        key: The header's value; ``None`` executes without memory.
        body: The request's body as it came.
        act: What to do; an exception rolls the key back with the act.

    Raises:
        IdempotencyKeyReused: Same key, other body.
    """
    if key is None:
        return await act()
    if not 1 <= len(key) <= LONGEST_KEY:
        raise IdempotencyKeyMalformed
    mine = (
        idempotency_keys.c.scope_id == scope_id,
        idempotency_keys.c.route == route,
        idempotency_keys.c.key == key,
    )
    await uow.session.execute(
        idempotency_keys.delete().where(*mine, idempotency_keys.c.created_at < func.clock_timestamp() - KEPT)
    )
    won = await uow.session.scalar(
        insert(idempotency_keys)
        .values(scope_id=scope_id, route=route, key=key, body_hash=fingerprint(body), created_at=func.clock_timestamp())
        .on_conflict_do_nothing()
        .returning(idempotency_keys.c.key)
    )
    if won is None:
        return await _remembered(uow, mine, body)
    status, answer = await act()
    await uow.session.execute(update(idempotency_keys).where(*mine).values(status=status, answer=answer))
    return status, answer


async def _remembered(uow: Transaction, mine: tuple[Any, ...], body: bytes) -> tuple[int, Any]:
    row = (await uow.session.execute(select(idempotency_keys).where(*mine))).one()
    if row.body_hash != fingerprint(body):
        raise IdempotencyKeyReused
    return row.status, row.answer


async def forget_keys(store: Store[Any]) -> int:
    """Timer of each worker: delete answers that nobody is owed any more; return how many."""
    async with store.for_system("inbox") as uow:
        forgotten: int = await uow.count_changed(
            idempotency_keys.delete().where(idempotency_keys.c.created_at < func.clock_timestamp() - KEPT)
        )
        return forgotten
