"""Rows that have had their time: expired proofs, counts whose window is over, sessions and invitations of long ago.

Nothing is answered differently without them, but that a link is not said to be too old once it is forgotten, that an
address is new again from which nobody signed in for so long, and that an expired invitation is not sent again.
Needs the door `for_system("auth")`.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import Table, delete, exists, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from tenancy.persistence.tables import (
    attempts,
    invitations,
    one_time_links,
    passkey_challenges,
    refresh_tokens,
    sessions,
    sso_states,
)

KEPT: Mapping[Table, timedelta | None] = {
    attempts: timedelta(days=1),
    one_time_links: timedelta(days=30),
    passkey_challenges: timedelta(),
    refresh_tokens: timedelta(),
    sso_states: timedelta(),
    sessions: None,
    invitations: None,
}
"""How long rows are kept after they expired, or after their window began; None: as the deployment's retention says."""

AT_ONCE = 1000
"""Rows of one transaction: a table that was never swept is, without holding anybody up."""


class Outlived:
    """What is deleted when its time is over."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def forget(self, table: Table, now: datetime, retention: timedelta) -> int:
        """Delete at most `AT_ONCE` rows of one table of `KEPT` whose time is over; return how many."""
        moment = table.c.began_at if table is attempts else table.c.expires_at
        kept = KEPT[table]
        key = list(table.primary_key)
        old = select(*key).where(moment < now - (retention if kept is None else kept)).limit(AT_ONCE)
        if table is sessions:  # its last refresh token may live longer, and goes first
            old = old.where(~exists().where(refresh_tokens.c.session_id == sessions.c.id))
        gone = await self._session.execute(delete(table).where(tuple_(*key).in_(old)))
        return int(gone.rowcount)  # type: ignore[attr-defined]
