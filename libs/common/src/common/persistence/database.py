"""One service's database: an engine per login role, and the setting that row-level security reads.

The setting is put in place by an ``after_begin`` hook, with ``set_config(…, true)``: it lasts exactly as long
as the transaction, is set again after a commit in mid-request, and never travels to the next user of a pooled
connection (PostgreSQL docs, ``set_config``; psycopg-style session ``SET`` would).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy import Connection, event, func, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session, SessionTransaction

from common.persistence.liveness import ask_after_a_pause
from common.persistence.scope import Scope
from common.settings import DatabaseSettings

CUSTOMER_DOORS = frozenset({"app", "user"})
"""Doors that requests go through; they share the work, so each has as many connections as the settings say."""

SYSTEM_POOL_SIZE = 2
"""Connections of each other door: relay, inbox, timers run one statement at a time."""

PATIENCE_SECONDS = 25
"""How long a request stands in line for a connection: somewhat less than the gateway waits for a service, so that a
rush is served late, and is told so by the service itself where that is too late."""

_READ_ONLY = text("set transaction read only")
_SNAPSHOT = text("set transaction isolation level repeatable read, read only")


class DoorSession(Session):
    """A session that carries its scope in ``info``; only `Database.session` makes one."""


@event.listens_for(DoorSession, "after_begin")
def _apply_scope(session: Session, _transaction: SessionTransaction, connection: Connection) -> None:
    scope: Scope = session.info["scope"]
    if session.info["snapshot"]:
        connection.execute(_SNAPSHOT)
    elif session.info["read_only"]:
        connection.execute(_READ_ONLY)
    if settings := scope.settings():
        connection.execute(select(*(func.set_config(name, value, True) for name, value in settings.items())))


class Database:
    """Engines of one service, made when first used, one per login role.

    Args:
        settings: Where the database is and the run-time roles' password.
        prefix: Role prefix, which is also the database's owner's prefix, such as ``billing``.
    """

    def __init__(self, settings: DatabaseSettings, prefix: str) -> None:
        self.prefix = prefix
        self._settings = settings
        self._url = make_url(settings.database_url).set(drivername="postgresql+asyncpg")
        self._engines: dict[str, AsyncEngine] = {}

    def role(self, door: str) -> str:
        """Return the login role of a door: ``app``, ``user``, ``relay``, ``inbox`` or a system role."""
        return f"{self.prefix}_{door}"

    def _login(self, door: str) -> URL:
        password = self._settings.database_password.get_secret_value()
        return self._url.set(username=self.role(door), password=password)

    def engine(self, door: str) -> AsyncEngine:
        """Return the engine of a door, made on first use."""
        if door not in self._engines:
            customers = door in CUSTOMER_DOORS
            size = self._settings.database_pool_size if customers else SYSTEM_POOL_SIZE
            made = create_async_engine(
                self._login(door),
                pool_size=size,
                max_overflow=size // 2 if customers else 0,
                pool_timeout=PATIENCE_SECONDS,
                connect_args={
                    **self._prepared(),
                    "timeout": 10,
                    "server_settings": {"application_name": f"{self.role(door)}"},
                },
            )
            ask_after_a_pause(made)
            self._engines[door] = made
        return self._engines[door]

    def _prepared(self) -> dict[str, Any]:
        """How statements are prepared: behind PgBouncer in transaction mode none may outlive its transaction, for the
        next one meets another backend. They are then unnamed, and prepared anew each time.
        """
        size = self._settings.database_statement_cache_size
        if size:
            return {"statement_cache_size": size}
        unnamed = {"prepared_statement_cache_size": 0, "prepared_statement_name_func": lambda: ""}
        return {"statement_cache_size": 0, **unnamed}

    @asynccontextmanager
    async def session(
        self, door: str, scope: Scope, *, read_only: bool = False, snapshot: bool = False
    ) -> AsyncIterator[AsyncSession]:
        """Open one transaction: commit on clean exit, roll back on an exception.

        Args:
            door: Whose login role.
            scope: For whom.
            read_only: It writes nothing.
            snapshot: Nor does it see what others commit meanwhile: all of it reads one moment (repeatable read).
        """
        async with (
            AsyncSession(
                self.engine(door),
                sync_session_class=DoorSession,
                expire_on_commit=False,
                info={"scope": scope, "read_only": read_only, "snapshot": snapshot},
            ) as session,
            session.begin(),
        ):
            yield session

    @asynccontextmanager
    async def direct(self, door: str) -> AsyncIterator[Any]:
        """Yield a connection outside of any pool, for LISTEN; it never goes through PgBouncer's transactions."""
        url = self._login(door)
        if (straight := self._settings.database_direct_url) is not None:
            named = make_url(straight)
            url = url.set(host=named.host, port=named.port, database=named.database)
        connection = await asyncpg.connect(
            host=url.host, port=url.port, user=url.username, password=url.password, database=url.database, timeout=10
        )
        try:
            yield connection
        finally:
            await connection.close(timeout=5)

    async def close(self) -> None:
        """Close every pool."""
        for engine in self._engines.values():
            await engine.dispose()
        self._engines.clear()
