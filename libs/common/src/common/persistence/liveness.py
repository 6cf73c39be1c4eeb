"""Whether a pooled connection still lives, asked only where it may have died unseen.

SQLAlchemy's ``pool_pre_ping`` asks before every transaction, on asyncpg by a transaction of its own: three round trips
more than the transaction itself needs. A connection that was in use a moment ago is only looked at: asyncpg knows when
the server has closed it (HikariCP calls that moment ``aliveBypassWindowMs``).
"""

import time
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine

MOMENT_SECONDS = 1.0
"""How long after its last use a connection is taken for alive unless it is known to be closed."""

_USED = "used"


def ask_after_a_pause(engine: AsyncEngine) -> None:
    """Have the engine replace dead connections as they are taken from its pool, and with one all that are as old."""
    dialect = engine.dialect

    def note_use(_connection: Any, record: Any) -> None:
        record.info[_USED] = time.monotonic()

    def look(connection: Any, record: Any, _fairy: Any) -> None:
        if connection.driver_connection.is_closed():
            raise InvalidatePoolError
        if time.monotonic() - record.info[_USED] < MOMENT_SECONDS:
            return
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error

    event.listen(engine.sync_engine, "connect", note_use)
    event.listen(engine.sync_engine, "checkin", note_use)
    event.listen(engine.sync_engine, "checkout", look)
