"""Bodies and answers of `/api/tenants/api-keys/`, and what the gateway is told of a key."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from common.web import Answer, Body, OneLine
from pydantic import AwareDatetime, Field

from tenancy.domain.api_keys import Scope
from tenancy.domain.roles import Role


class ApiKeyIn(Body):
    """A key to be made. It acts with `role` and only within `scopes`, from `allowed_networks` where any are named."""

    name: OneLine = Field(min_length=1, max_length=100)
    role: Role = Role.MEMBER
    scopes: list[Scope] = Field(min_length=1, max_length=len(Scope))
    allowed_networks: list[Annotated[str, Field(max_length=50)]] = Field([], max_length=50)
    expires_at: AwareDatetime | None = Field(None, description="within 366 days; without it the key does not expire")


class ApiKeyOut(Answer):
    """A key without its secret; `prefix` is how it begins."""

    id: UUID
    name: str
    prefix: str
    role: str
    scopes: list[str]
    allowed_networks: list[str]
    created_by: UUID
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class NewApiKeyOut(ApiKeyOut):
    """The one answer that has the secret."""

    key: str


class ResolvedKeyOut(Answer):
    """For the gateway: whom the key acts as, and under which conditions. `id` takes the place of a user's id."""

    id: UUID
    tenant_id: UUID
    roles: list[str]
    scopes: list[str]
    allowed_networks: list[str]
    expires_at: datetime | None
    has_api_access: bool
