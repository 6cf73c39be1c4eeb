"""Answers about sessions: to their holder, and to the gateway."""

from datetime import datetime
from typing import Self
from uuid import UUID

from common.web import Answer

from tenancy.domain.sessions import Session


class SessionOut(Answer):
    """What a session stands for at this moment: the gateway's question."""

    tenant_id: UUID | None
    roles: list[str]
    staff_roles: list[str]
    revoked: bool
    has_second_factor: bool
    second_factor_at: datetime | None


class OwnSessionOut(Answer):
    """One of the caller's sign-ins; `device` is what the client said of itself."""

    id: UUID
    current: bool
    device: str
    address: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, session: Session, current: UUID | None) -> Self:
        return cls(
            id=session.id,
            current=session.id == current,
            device=session.device.user_agent,
            address=session.device.address,
            created_at=session.created_at,
            last_used_at=session.last_used_at,
            expires_at=session.expires_at,
        )
