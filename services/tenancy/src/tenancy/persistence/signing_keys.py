"""Signing keys as rows, their private parts sealed. Needs the door `for_system("auth")`."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import RowMapping, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from tenancy.persistence.tables import signing_keys


class SigningKeys:
    """All keys that were made by command."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def all(self) -> Sequence[RowMapping]:
        """Rows `id sealed signs_from alone`, the oldest first."""
        return (await self._session.execute(select(signing_keys).order_by(signing_keys.c.signs_from))).mappings().all()

    async def add(
        self, key_id: UUID, sealed: bytes, signs_from: datetime, created_at: datetime, *, alone: bool
    ) -> None:
        await self._session.execute(
            insert(signing_keys).values(
                id=key_id, sealed=sealed, signs_from=signs_from, created_at=created_at, alone=alone
            )
        )

    async def remove(self, *key_ids: UUID) -> None:
        await self._session.execute(delete(signing_keys).where(signing_keys.c.id.in_(key_ids)))
