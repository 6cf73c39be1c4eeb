"""Rows that have had their time: proofs that have expired, counts whose window is over.

Nothing is answered differently without them, but that a link is not said to be too old once it is forgotten.
Needs the door `for_system("auth")`.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import Table, delete
from sqlalchemy.ext.asyncio import AsyncSession

from tenancy.persistence.tables import attempts, one_time_links, passkey_challenges, refresh_tokens, sso_states

KEPT: Mapping[Table, timedelta] = {
    attempts: timedelta(days=1),
    one_time_links: timedelta(days=30),
    passkey_challenges: timedelta(),
    refresh_tokens: timedelta(),
    sso_states: timedelta(),
}
"""How long rows are kept after they expired, or after their window began."""


class Outlived:
    """What is deleted when its time is over."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def forget(self, table: Table, now: datetime) -> int:
        """Delete the rows of one table of `KEPT` whose time is over; return how many."""
        moment = table.c.began_at if table is attempts else table.c.expires_at
        gone = await self._session.execute(delete(table).where(moment < now - KEPT[table]))
        return int(gone.rowcount)  # type: ignore[attr-defined]
