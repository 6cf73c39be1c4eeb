"""Accounts and credentials as rows.

Reading and writing across persons needs the door `for_system("auth")`; through `for_user` only a person's own
rows exist, and through `for_tenant` only the one person that `named` was asked for.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from common.persistence.scope import USER_SETTING
from sqlalchemy import RowMapping, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from tenancy.domain.people import Credentials, Language, NamedPerson, User
from tenancy.domain.roles import StaffRole
from tenancy.persistence.tables import credentials, users


def _user(row: RowMapping) -> User:
    return User(
        id=row["id"],
        email=row["email"],
        full_name=row["full_name"],
        language=Language(row["language"]),
        created_at=row["created_at"],
        email_verified_at=row["email_verified_at"],
        disabled_at=row["disabled_at"],
        staff_roles=frozenset(StaffRole(role) for role in row["staff_roles"]),
        last_tenant_id=row["last_tenant_id"],
        staff_dismissed_at=row["staff_dismissed_at"],
    )


class Users:
    """Accounts and the credentials that belong to them."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, user: User) -> bool:
        """Insert an account; False when the address has one already."""
        added = await self._session.execute(
            upsert(users)
            .values(
                id=user.id,
                email=user.email,
                full_name=user.full_name,
                language=user.language.value,
                created_at=user.created_at,
                email_verified_at=user.email_verified_at,
                staff_roles=sorted(user.staff_roles),
            )
            .on_conflict_do_nothing(index_elements=["email"])
            .returning(users.c.id)
        )
        return added.scalar_one_or_none() is not None

    async def by_email(self, email: str) -> User | None:
        return await self._one(users.c.email == email)

    async def by_id(self, user_id: UUID) -> User | None:
        return await self._one(users.c.id == user_id)

    async def _one(self, condition: Any) -> User | None:
        row = (await self._session.execute(select(users).where(condition))).mappings().one_or_none()
        return None if row is None else _user(row)

    async def set(self, user_id: UUID, **values: object) -> None:
        """Change an account, within the columns that the door's role may update."""
        await self._session.execute(update(users).where(users.c.id == user_id).values(**values))

    async def take_email(self, user_id: UUID, email: str, at: datetime) -> bool:
        """Give an account another address, which counts as confirmed; False where another account has it."""
        other = select(users.c.id).where(users.c.email == email)
        if await self._session.scalar(other) is not None:
            return False
        try:
            async with self._session.begin_nested():
                await self.set(user_id, email=email, email_verified_at=at)
        except IntegrityError:
            return False
        return True

    async def add_credentials(self, held: Credentials) -> None:
        await self._session.execute(
            insert(credentials).values(
                user_id=held.user_id,
                password_hash=held.password_hash,
                totp_sealed=held.totp_sealed,
                password_set_at=held.password_set_at,
            )
        )

    async def credentials(self, user_id: UUID, *, lock: bool = False) -> Credentials | None:
        """What the person signs in with; `lock` where a one-time code is about to be used up."""
        found = select(credentials).where(credentials.c.user_id == user_id)
        row = (await self._session.execute(found.with_for_update() if lock else found)).mappings().one_or_none()
        return None if row is None else Credentials(**row)

    async def set_credentials(self, user_id: UUID, **values: object) -> None:
        await self._session.execute(update(credentials).where(credentials.c.user_id == user_id).values(**values))


class NamedPeople:
    """What a tenant's transaction may know about a person that it names: address, name and language."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def named(self, user_id: UUID) -> NamedPerson | None:
        """Look up one person; from here on the transaction names this person and no other."""
        await self._session.execute(text("select set_config(:n, :v, true)"), {"n": USER_SETTING, "v": str(user_id)})
        found = select(users.c.id, users.c.email, users.c.full_name, users.c.language, users.c.email_verified_at)
        row = (await self._session.execute(found.where(users.c.id == user_id))).mappings().one_or_none()
        return None if row is None else NamedPerson(**(dict(row) | {"language": Language(row["language"])}))
