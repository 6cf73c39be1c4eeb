"""The three doors, as a service's edges use them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.clock import Clock
from common.persistence.database import Database
from common.persistence.scope import Scope
from common.persistence.transaction import Transaction

U = TypeVar("U", bound=Transaction)


class Store(Generic[U]):
    """Opens transactions and hands out the service's unit of work.

    One edge call, one transaction: it commits on clean exit and rolls back on an exception. No network call
    belongs inside.
    """

    def __init__(self, database: Database, unit: Callable[[AsyncSession, Scope, Clock], U], clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self._unit = unit

    @asynccontextmanager
    async def for_tenant(
        self, tenant_id: UUID, *, acting: UUID | None = None, snapshot: bool = False
    ) -> AsyncIterator[U]:
        """Open a transaction that sees and writes this tenant's rows only.

        Args:
            tenant_id: The tenant.
            acting: The person who asked, where an idempotency key may be his and not the tenant's.
            snapshot: It only reads, and all that it reads is of one moment.
        """
        scope = Scope(tenant_id=tenant_id, acting_user_id=acting)
        async with self.database.session("app", scope, snapshot=snapshot) as session:
            yield self._unit(session, scope, self.clock)

    @asynccontextmanager
    async def for_user(self, user_id: UUID, *, writes: bool = False, snapshot: bool = False) -> AsyncIterator[U]:
        """Open a transaction that sees this person's rows; it can't write a row that carries a tenant.

        Args:
            user_id: The person.
            writes: Whether the person's own tables (those without a tenant) are written; else it is read only.
            snapshot: All that it reads is of one moment.
        """
        scope = Scope(user_id=user_id)
        async with self.database.session("user", scope, read_only=not writes, snapshot=snapshot) as session:
            yield self._unit(session, scope, self.clock)

    @asynccontextmanager
    async def for_system(self, role: str) -> AsyncIterator[U]:
        """Open a transaction of a system role, which sees just the tables that its policies name."""
        scope = Scope(role=role)
        async with self.database.session(role, scope) as session:
            yield self._unit(session, scope, self.clock)

    @asynccontextmanager
    async def for_erasure(self, tenant_id: UUID) -> AsyncIterator[U]:
        """Open a transaction of the system role ``eraser``, narrowed to one tenant: it deletes nobody else's rows."""
        scope = Scope(tenant_id=tenant_id, role="eraser")
        async with self.database.session("eraser", scope) as session:
            yield self._unit(session, scope, self.clock)
