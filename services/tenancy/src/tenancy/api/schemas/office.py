"""Bodies and answers of `/api/admin/organizations/`."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from common.web import Answer, Body
from pydantic import Field

from tenancy.api.schemas.organizations import MemberOut, OrganizationOut, UsageOut

Reason = Annotated[str, Field(min_length=3, max_length=500, description="Why, for the audit log")]


class ReasonIn(Body):
    """Why it is done; the organization's owners read it in their audit log."""

    reason: Reason


class EntitlementsIn(Body):
    """What changes of the entitlements in force; the rest stays."""

    reason: Reason
    quotas: dict[Annotated[str, Field(max_length=60)], Annotated[int, Field(ge=0, le=2**53)]] = Field(
        default_factory=dict, max_length=20
    )
    features: dict[Annotated[str, Field(max_length=60)], bool] = Field(default_factory=dict, max_length=40)
    retention: dict[Annotated[str, Field(max_length=60)], Annotated[int, Field(ge=1, le=36_500)]] = Field(
        default_factory=dict, max_length=10
    )

    def changes(self) -> dict[str, Any]:
        """By the names of the entitlements."""
        return {"quotas": self.quotas, "features": self.features, "retention": self.retention}


class OrganizationDossierOut(Answer):
    """What staff sees of one organization."""

    organization: OrganizationOut
    usage: UsageOut
    members: list[MemberOut]
    quotas: dict[str, int]
    features: dict[str, bool]
    retention: dict[str, int]
    held_for: str | None
    deletion_due_at: datetime | None
    created_at: datetime
    source_order_id: UUID
