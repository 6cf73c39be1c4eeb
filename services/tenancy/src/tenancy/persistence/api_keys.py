"""API keys as rows; through `for_tenant` unless a method says otherwise."""

from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from sqlalchemy import RowMapping, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from tenancy.domain.api_keys import USED_NOTED, ApiKey, Scope
from tenancy.domain.roles import Role
from tenancy.persistence.tables import api_keys

SHOWN = [column for column in api_keys.c if column.name != "key_hmac"]


class ApiKeys:
    """Keys of the transaction's tenant."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, key: ApiKey, key_hmac: bytes) -> None:
        kept = asdict(key) | {"role": key.role.value, "scopes": [scope.value for scope in key.scopes]}
        await self._session.execute(insert(api_keys).values(**kept, key_hmac=key_hmac))

    async def tenant_of(self, key_hmac: bytes) -> UUID | None:
        """Whose key it is. Needs `for_system("auth")`."""
        found = select(api_keys.c.tenant_id).where(api_keys.c.key_hmac == key_hmac)
        return (await self._session.execute(found)).scalar_one_or_none()

    async def by_hmac(self, key_hmac: bytes) -> ApiKey | None:
        row = (await self._session.execute(select(*SHOWN).where(api_keys.c.key_hmac == key_hmac))).mappings()
        return _key(row.one_or_none())

    async def get(self, tenant_id: UUID, key_id: UUID, *, lock: bool = False) -> ApiKey | None:
        found = select(*SHOWN).where(api_keys.c.tenant_id == tenant_id, api_keys.c.id == key_id)
        return _key((await self._session.execute(found.with_for_update() if lock else found)).mappings().one_or_none())

    async def page(self, tenant_id: UUID, *, after: UUID | None, limit: int) -> list[ApiKey]:
        """Keys, newest first, revoked ones too."""
        found = select(*SHOWN).where(api_keys.c.tenant_id == tenant_id)
        if after is not None:
            found = found.where(api_keys.c.id < after)
        rows = await self._session.execute(found.order_by(api_keys.c.id.desc()).limit(limit))
        return [key for row in rows.mappings() if (key := _key(row))]

    async def made_by(self, tenant_id: UUID, user_id: UUID) -> list[ApiKey]:
        """The keys that a person made and nobody revoked."""
        rows = await self._session.execute(
            select(*SHOWN).where(
                api_keys.c.tenant_id == tenant_id,
                api_keys.c.created_by == user_id,
                api_keys.c.revoked_at.is_(None),
            )
        )
        return [key for row in rows.mappings() if (key := _key(row))]

    async def count_usable(self, tenant_id: UUID, now: datetime) -> int:
        found = select(func.count()).where(
            api_keys.c.tenant_id == tenant_id,
            api_keys.c.revoked_at.is_(None),
            or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > now),
        )
        return int(await self._session.scalar(found) or 0)

    async def note_use(self, key: ApiKey, now: datetime) -> None:
        """Remember when the key was last used, to the minute."""
        if key.last_used_at is None or now - key.last_used_at >= USED_NOTED:
            await self._session.execute(
                update(api_keys)
                .where(api_keys.c.tenant_id == key.tenant_id, api_keys.c.id == key.id)
                .values(last_used_at=now)
            )

    async def revoke(self, key: ApiKey, now: datetime) -> None:
        await self._session.execute(
            update(api_keys)
            .where(api_keys.c.tenant_id == key.tenant_id, api_keys.c.id == key.id)
            .values(revoked_at=now)
        )


def _key(row: RowMapping | None) -> ApiKey | None:
    if row is None:
        return None
    return ApiKey(
        **dict(row)
        | {
            "role": Role(row["role"]),
            "scopes": tuple(Scope(scope) for scope in row["scopes"]),
            "allowed_networks": tuple(row["allowed_networks"]),
        }
    )
