"""Bodies and answers about impersonations."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from common.web import Answer, Body
from pydantic import Field

from tenancy.api.schemas.office import Reason
from tenancy.domain.impersonation import LONGEST

LONGEST_MINUTES = int(LONGEST.total_seconds() // 60)


class ImpersonateIn(Body):
    """Why, as the organization's owner will read it, and for how many minutes."""

    reason: Reason
    minutes: Annotated[int, Field(ge=1, le=LONGEST_MINUTES)] = 15


class ImpersonationTokenOut(Answer):
    """A token that only reads, for `expires_in` seconds; `expires_at` is the impersonation's end."""

    id: UUID
    organization: UUID
    expires_at: datetime
    access_token: str
    token_type: str = "Bearer"  # noqa: S105  # a scheme's name
    expires_in: int


class ImpersonationOut(Answer):
    """When somebody of the staff read the organization's affairs, and why; `ended_by` null: its time was over,
    or the session in which it began.
    """

    id: UUID
    staff_user_id: UUID
    user_id: UUID
    reason: str
    started_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    ended_by: UUID | None
