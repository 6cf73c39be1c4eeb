"""Accounts, credentials, sessions and one-time links as rows.

Reading and writing across persons needs the door `for_system("auth")`; through `for_user` only a person's own
rows exist, and through `for_tenant` only the one person that `named` was asked for.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from common.persistence.scope import USER_SETTING
from sqlalchemy import RowMapping, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from tenancy.domain.people import Credentials, Language, NamedPerson, User
from tenancy.domain.roles import StaffRole
from tenancy.domain.sessions import RefreshToken, Session
from tenancy.persistence.tables import credentials, one_time_links, refresh_tokens, sessions, users


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

    async def add_credentials(self, held: Credentials) -> None:
        await self._session.execute(
            insert(credentials).values(
                user_id=held.user_id, password_hash=held.password_hash, totp_sealed=held.totp_sealed
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


def _session(row: RowMapping) -> Session:
    return Session(
        id=row["id"],
        user_id=row["user_id"],
        active_tenant_id=row["active_tenant_id"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
    )


class Sessions:
    """Sign-ins and their refresh tokens."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, new: Session) -> None:
        await self._session.execute(
            insert(sessions).values(
                id=new.id,
                user_id=new.user_id,
                active_tenant_id=new.active_tenant_id,
                created_at=new.created_at,
                expires_at=new.expires_at,
            )
        )

    async def get(self, session_id: UUID, *, lock: bool = False) -> Session | None:
        found = select(sessions).where(sessions.c.id == session_id)
        row = (await self._session.execute(found.with_for_update() if lock else found)).mappings().one_or_none()
        return None if row is None else _session(row)

    async def activate(self, session_id: UUID, tenant_id: UUID | None) -> None:
        await self._session.execute(
            update(sessions).where(sessions.c.id == session_id).values(active_tenant_id=tenant_id)
        )

    async def revoke(self, session_id: UUID, at: datetime, reason: str) -> None:
        """End a session; one that has ended stays as it was."""
        await self._session.execute(
            update(sessions)
            .where(sessions.c.id == session_id, sessions.c.revoked_at.is_(None))
            .values(revoked_at=at, revoked_for=reason)
        )

    async def add_token(self, token: RefreshToken, token_hash: bytes, issued_at: datetime) -> None:
        await self._session.execute(
            insert(refresh_tokens).values(
                id=token.id,
                user_id=token.user_id,
                session_id=token.session_id,
                token_hash=token_hash,
                issued_at=issued_at,
                expires_at=token.expires_at,
            )
        )

    async def token(self, token_hash: bytes) -> RefreshToken | None:
        """The token with this hash, locked until the transaction ends: its first use happens once."""
        found = select(refresh_tokens).where(refresh_tokens.c.token_hash == token_hash).with_for_update()
        row = (await self._session.execute(found)).mappings().one_or_none()
        if row is None:
            return None
        return RefreshToken(row["id"], row["session_id"], row["user_id"], row["expires_at"], row["used_at"])

    async def use_token(self, token_id: UUID, at: datetime) -> None:
        """Note a token's first use; later uses leave the first one's time."""
        await self._session.execute(
            update(refresh_tokens)
            .where(refresh_tokens.c.id == token_id, refresh_tokens.c.used_at.is_(None))
            .values(used_at=at)
        )


class Links:
    """One-time links sent to a person, such as the one that confirms an address."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(
        self, *, link_id: UUID, user_id: UUID, purpose: str, email: str, token_hash: bytes, expires_at: datetime
    ) -> None:
        await self._session.execute(
            insert(one_time_links).values(
                id=link_id,
                user_id=user_id,
                purpose=purpose,
                email=email,
                token_hash=token_hash,
                expires_at=expires_at,
            )
        )

    async def unused(self, token_hash: bytes, purpose: str) -> RowMapping | None:
        """The unused link with this hash, locked: `id user_id email expires_at`."""
        found = select(one_time_links).where(
            one_time_links.c.token_hash == token_hash,
            one_time_links.c.purpose == purpose,
            one_time_links.c.used_at.is_(None),
        )
        return (await self._session.execute(found.with_for_update())).mappings().one_or_none()

    async def use(self, link_id: UUID, at: datetime) -> None:
        await self._session.execute(update(one_time_links).where(one_time_links.c.id == link_id).values(used_at=at))
