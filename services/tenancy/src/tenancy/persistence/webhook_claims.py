"""Which messages are whose to send, and which have had their time; across tenants, through `for_system("courier")`."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

CLAIM = timedelta(minutes=1)
"""How long a message is left to whoever claimed it: several times what one try may take, so that nobody else sends it
meanwhile, and short enough to wait for after a crash."""

PER_ENDPOINT = 2
"""Messages at once to one endpoint: one that is slow holds so many places, and no other endpoint's."""

PER_ORGANIZATION = 8
"""Messages at once of one organization, over all workers: six whose receivers are all slow leave a worker's last places
to others."""

DUE = """d.tenant_id = e.tenant_id and d.endpoint_id = e.id and d.state = 'pending'
    and d.next_attempt_at <= clock_timestamp() and (d.claimed_until is null or d.claimed_until <= clock_timestamp())"""

ROOM = f"""(select count(*) from webhook_deliveries d where d.tenant_id = e.tenant_id and d.endpoint_id = e.id
    and d.state = 'pending' and d.claimed_until > clock_timestamp()) < {PER_ENDPOINT}"""  # noqa: S608

ONE_AT_A_TIME = text("select pg_advisory_xact_lock(hashtext('webhook-turns'))")
"""Workers take turns to claim, for some milliseconds each: what an organization has on its way is then a number."""

TURNS = text(f"""with due as (
      select e.tenant_id, e.id, e.last_turn_at, row_number() over (
        partition by e.tenant_id order by e.last_turn_at nulls first, e.id
      ) + (select count(*) from webhook_deliveries d
           where d.tenant_id = e.tenant_id and d.state = 'pending' and d.claimed_until > clock_timestamp()) as place
      from webhook_endpoints e where e.enabled and exists (select from webhook_deliveries d where {DUE}) and {ROOM}
    )
    select e.tenant_id, e.id from webhook_endpoints e join due on due.tenant_id = e.tenant_id and due.id = e.id
    where due.place <= {PER_ORGANIZATION}
    order by due.place, e.last_turn_at nulls first, e.id limit :places
    for no key update of e skip locked""")  # noqa: S608
"""Endpoints whose turn it is: those of organizations with the least on its way first, of each the one that had none
for longest. They are this transaction's alone."""

TAKEN = text(f"""update webhook_deliveries claimed
    set claimed_until = clock_timestamp() + :claim, claim_id = gen_random_uuid()
    from (
      select first.tenant_id, first.id
      from unnest(cast(:tenants as uuid[]), cast(:endpoints as uuid[])) e(tenant_id, id)
      cross join lateral (
        select d.tenant_id, d.id from webhook_deliveries d where {DUE} and {ROOM}
        order by d.next_attempt_at, d.id limit 1 for update skip locked
      ) first
    ) chosen
    where claimed.tenant_id = chosen.tenant_id and claimed.id = chosen.id
    returning claimed.tenant_id, claimed.id, claimed.claim_id""")  # noqa: S608
"""A statement of its own: it sees what whoever had these endpoints before has committed, the first one may not."""

TURN_HAD = text("""update webhook_endpoints e set last_turn_at = clock_timestamp()
    from unnest(cast(:tenants as uuid[]), cast(:endpoints as uuid[])) had(tenant_id, id)
    where e.tenant_id = had.tenant_id and e.id = had.id""")

BACKLOG = text("""select count(*) as messages,
    coalesce(extract(epoch from clock_timestamp() - min(d.next_attempt_at)), 0)::float8 as oldest_seconds
    from webhook_deliveries d where d.state = 'pending' and d.next_attempt_at <= clock_timestamp()""")

FORGOTTEN_AT_ONCE = 5000
OLD_ATTEMPTS = text(f"""delete from webhook_attempts where (tenant_id, delivery_id, number) in (
    select tenant_id, delivery_id, number from webhook_attempts where at < :before
    limit {FORGOTTEN_AT_ONCE})""")  # noqa: S608
OLD_DELIVERIES = text(f"""delete from webhook_deliveries where (tenant_id, id) in (
    select tenant_id, id from webhook_deliveries where finished_at < :before
    limit {FORGOTTEN_AT_ONCE})""")  # noqa: S608

CLEARED_AT_ONCE = 1000
OF_DELETED = text("""select d.tenant_id, d.id from webhook_endpoints e
    join webhook_deliveries d on d.tenant_id = e.tenant_id and d.endpoint_id = e.id
    where e.deleted_at is not null order by d.tenant_id, d.endpoint_id, d.id limit :most for update of d skip locked""")
THEIR_ATTEMPTS = text("""delete from webhook_attempts a
    using unnest(cast(:tenants as uuid[]), cast(:deliveries as uuid[])) gone(tenant_id, id)
    where a.tenant_id = gone.tenant_id and a.delivery_id = gone.id""")
THEMSELVES = text("""delete from webhook_deliveries d
    using unnest(cast(:tenants as uuid[]), cast(:deliveries as uuid[])) gone(tenant_id, id)
    where d.tenant_id = gone.tenant_id and d.id = gone.id""")
DELETED = text("""delete from webhook_endpoints e where e.deleted_at is not null and not exists (
    select from webhook_deliveries d where d.tenant_id = e.tenant_id and d.endpoint_id = e.id)""")


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that is this process's to send, for `CLAIM`."""

    tenant_id: UUID
    delivery_id: UUID
    claim_id: UUID


class WebhookClaims:
    """What is due, whosever it is."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def take(self, places: int) -> list[Claim]:
        """Claim one due message of each of at most so many endpoints, few of any one organization."""
        await self._session.execute(ONE_AT_A_TIME)
        turns = (await self._session.execute(TURNS, {"places": places})).all()
        if not turns:
            return []
        whose = {"tenants": [row.tenant_id for row in turns], "endpoints": [row.id for row in turns]}
        taken = (await self._session.execute(TAKEN, whose | {"claim": CLAIM})).all()
        await self._session.execute(TURN_HAD, whose)
        return [Claim(row.tenant_id, row.id, row.claim_id) for row in taken]

    async def backlog(self) -> tuple[int, float]:
        """How many messages are due or on their way, and for how many seconds the oldest has been."""
        row = (await self._session.execute(BACKLOG)).one()
        return row.messages, row.oldest_seconds

    async def forget(self, before: datetime) -> int:
        """Delete tries made, then messages ended, before then, some at a time; return how many rows went."""
        for old in (OLD_ATTEMPTS, OLD_DELIVERIES):
            gone: Any = await self._session.execute(old, {"before": before})
            if gone.rowcount:
                return int(gone.rowcount)
        return 0

    async def clear(self) -> int:
        """Delete messages to endpoints that are deleted, some at a time, at last these; return how many rows went."""
        rows = (await self._session.execute(OF_DELETED, {"most": CLEARED_AT_ONCE})).all()
        if not rows:
            gone: Any = await self._session.execute(DELETED)
            return int(gone.rowcount)
        which = {"tenants": [row.tenant_id for row in rows], "deliveries": [row.id for row in rows]}
        for theirs in (THEIR_ATTEMPTS, THEMSELVES):
            await self._session.execute(theirs, which)
        return len(rows)
