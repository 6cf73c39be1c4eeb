"""Sign-ins and their refresh tokens as rows.

Writing and looking across persons needs the door `for_system("auth")`; through `for_user` only one's own exist.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, func, insert, literal, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from tenancy.domain.sessions import Device, RefreshToken, Session
from tenancy.persistence.tables import refresh_tokens, sessions


def _session(row: RowMapping) -> Session:
    return Session(
        id=row["id"],
        user_id=row["user_id"],
        active_tenant_id=row["active_tenant_id"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        device=Device(row["user_agent"], row["address"]),
        last_used_at=row["last_used_at"] or row["created_at"],
        second_factor_at=row["second_factor_at"],
        sso_tenant_id=row["sso_tenant_id"],
        revoked_at=row["revoked_at"],
    )


def _alive(user_id: UUID, now: datetime) -> tuple[ColumnElement[bool], ...]:
    return sessions.c.user_id == user_id, sessions.c.revoked_at.is_(None), sessions.c.expires_at > now


class Sessions:
    """One row per sign-in, and the refresh tokens that were made from it."""

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
                user_agent=new.device.user_agent,
                address=new.device.address,
                last_used_at=new.last_used_at,
                second_factor_at=new.second_factor_at,
                sso_tenant_id=new.sso_tenant_id,
            )
        )

    async def get(self, session_id: UUID, *, lock: bool = False) -> Session | None:
        found = select(sessions).where(sessions.c.id == session_id)
        row = (await self._session.execute(found.with_for_update() if lock else found)).mappings().one_or_none()
        return None if row is None else _session(row)

    async def alive_of(
        self, user_id: UUID, now: datetime, *, before: tuple[datetime, UUID] | None, limit: int
    ) -> Sequence[Session]:
        """Sessions of one person that have not ended, the most recently used first."""
        used_at = func.coalesce(sessions.c.last_used_at, sessions.c.created_at)
        found = select(sessions).where(*_alive(user_id, now))
        if before is not None:
            found = found.where(tuple_(used_at, sessions.c.id) < tuple_(literal(before[0]), literal(before[1])))
        newest = found.order_by(used_at.desc(), sessions.c.id.desc()).limit(limit)
        return [_session(row) for row in (await self._session.execute(newest)).mappings()]

    async def knows(self, user_id: UUID, address: str) -> bool:
        """Whether a person has signed in from an address before."""
        found = select(sessions.c.id).where(sessions.c.user_id == user_id, sessions.c.address == address).limit(1)
        return bool(address) and await self._session.scalar(found) is not None

    async def activate(self, session_id: UUID, tenant_id: UUID | None) -> None:
        await self._session.execute(
            update(sessions).where(sessions.c.id == session_id).values(active_tenant_id=tenant_id)
        )

    async def note_use(self, session_id: UUID, at: datetime, device: Device) -> None:
        """Note from where a session was last used."""
        await self._session.execute(
            update(sessions)
            .where(sessions.c.id == session_id)
            .values(last_used_at=at, user_agent=device.user_agent, address=device.address)
        )

    async def note_second_factor(self, session_id: UUID, at: datetime) -> None:
        """Note when the session's holder last proved a second factor."""
        await self._session.execute(update(sessions).where(sessions.c.id == session_id).values(second_factor_at=at))

    async def revoke(
        self, user_id: UUID, at: datetime, reason: str, *, only: UUID | None, keep: UUID | None
    ) -> list[UUID]:
        """End one session of a person, or all but `keep`; return those that had not ended before."""
        ended = update(sessions).where(*_alive(user_id, at)).values(revoked_at=at, revoked_for=reason)
        if only is not None:
            ended = ended.where(sessions.c.id == only)
        if keep is not None:
            ended = ended.where(sessions.c.id != keep)
        return list((await self._session.scalars(ended.returning(sessions.c.id))).all())

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
