"""The facts that tenancy publishes.

`org.*` are state events: each carries the whole state of the organization, so a consumer needs only the newest.
"""

from datetime import UTC, datetime
from typing import ClassVar, Self
from uuid import UUID

from common.messaging import Fact
from pydantic import ConfigDict, Field

from tenancy.domain.organization import Organization
from tenancy.domain.particulars import Particulars


class OrganizationState(Fact):
    """Everything about an organization that others act on. Retention is in days, `max_storage_gb` in 10⁹ bytes."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)

    is_state: ClassVar[bool] = True

    id: UUID
    organization_name: str = Field(alias="name")
    slug: str
    status: str
    plan: str
    owner: UUID
    email: str
    billing_cycle: str
    subscription_start: datetime
    subscription_end: datetime
    order_id: UUID
    region: str
    quotas: dict[str, int]
    features: dict[str, bool]
    retention: dict[str, int]
    period_start: datetime
    period_end: datetime

    @classmethod
    def of(cls, organization: Organization, order_id: UUID) -> Self:
        """The state after `order_id` had its effect."""
        bought = organization.entitlements
        return cls(
            id=organization.id,
            organization_name=organization.name,
            slug=organization.slug,
            status=organization.status.value,
            plan=bought.plan,
            owner=organization.owner_user_id,
            email=organization.email,
            billing_cycle=bought.billing_cycle,
            subscription_start=organization.subscription_start,
            subscription_end=bought.period_end,
            order_id=order_id,
            region=organization.region,
            quotas=bought.quotas,
            features=bought.features,
            retention=bought.retention,
            period_start=bought.period_start,
            period_end=bought.period_end,
        )

    @classmethod
    def example(cls) -> Self:
        return cls(
            id=UUID("01980000-0000-7000-8000-000000000001"),
            organization_name="Société Exemple",
            slug="societe-exemple",
            status="active",
            plan="silver",
            owner=UUID("01980000-0000-7000-8000-000000000002"),
            email="it@exemple.cm",
            billing_cycle="monthly",
            subscription_start=datetime(2026, 11, 22, tzinfo=UTC),
            subscription_end=datetime(2026, 12, 22, tzinfo=UTC),
            order_id=UUID("01980000-0000-7000-8000-000000000003"),
            region="default",
            quotas={
                "max_esxi_servers": 5,
                "max_vms": 50,
                "max_backups_per_month": 500,
                "max_storage_gb": 500,
                "max_users": 5,
            },
            features={"has_replication": False, "has_api_access": True},
            retention={"snapshot_retention_days": 14, "backup_retention_days": 60},
            period_start=datetime(2026, 11, 22, tzinfo=UTC),
            period_end=datetime(2026, 12, 22, tzinfo=UTC),
        )


class OrgProvisioned(OrganizationState):
    """An organization exists and may be used."""

    name: ClassVar[str] = "org.provisioned"


class OrgPlanChanged(OrganizationState):
    """What an organization may use, or until when, has changed: a renewal, or another plan."""

    name: ClassVar[str] = "org.plan_changed"


class OrgUpdated(OrganizationState):
    """Name, address or owner of an organization have changed."""

    name: ClassVar[str] = "org.updated"


class OrgParticularsChanged(Fact):
    """Who an organization is on its invoices, whole: told when it is provisioned and when its settings change.

    The one fact with an address and a taxpayer's number in it: without them billing cannot write the invoice that the
    law asks for. They are in no other fact, and only billing takes this one.
    """

    name: ClassVar[str] = "org.particulars_changed"
    is_state: ClassVar[bool] = True

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)

    organization_name: str = Field(alias="name")
    email: str
    phone: str | None
    address: str | None
    rccm: str | None
    niu: str | None

    @classmethod
    def of(cls, known: Particulars) -> Self:
        """What of an organization's settings an invoice names."""
        return cls(
            organization_name=known.name,
            email=known.email,
            phone=known.phone,
            address=known.address,
            rccm=known.rccm,
            niu=known.niu,
        )

    @classmethod
    def example(cls) -> Self:
        return cls(
            organization_name="Société Exemple",
            email="it@exemple.cm",
            phone="+237 6 70 00 00 00",
            address="Rue 1.839, Bastos, Yaoundé",
            rccm="CM-YAO-01-2019-B12-00456",
            niu="M021912004567B",
        )


class OrgSuspended(OrganizationState):
    """Nobody has paid, or the money is disputed: reading, paying, exporting and restoring go on, nothing else does."""

    name: ClassVar[str] = "org.suspended"

    @classmethod
    def example(cls) -> Self:
        return super().example().model_copy(update={"status": "suspended"})


class OrgReactivated(OrganizationState):
    """The organization may do everything again, with the plan that it has now."""

    name: ClassVar[str] = "org.reactivated"


class OrgExpired(OrganizationState):
    """The subscription has ended; `status` is `cancelled` where the owner wanted that, else `expired`."""

    name: ClassVar[str] = "org.expired"

    @classmethod
    def example(cls) -> Self:
        return super().example().model_copy(update={"status": "cancelled"})


class OrgDeleted(Fact):
    """The organization is gone for good: every service erases what is its, but for the books."""

    name: ClassVar[str] = "org.deleted"
    is_state: ClassVar[bool] = True

    id: UUID
    reason: str

    @classmethod
    def example(cls) -> Self:
        return cls(id=UUID("01980000-0000-7000-8000-000000000001"), reason="asked_for")


class MemberJoined(Fact):
    """A person accepted an invitation."""

    name: ClassVar[str] = "member.joined"

    user_id: UUID
    role: str
    invited_by: UUID

    @classmethod
    def example(cls) -> Self:
        return cls(
            user_id=UUID("01980000-0000-7000-8000-000000000004"),
            role="member",
            invited_by=UUID("01980000-0000-7000-8000-000000000002"),
        )


class UserRegistered(Fact):
    """A person opened an account; nobody's organization is concerned."""

    name: ClassVar[str] = "user.registered"

    user_id: UUID
    language: str

    @classmethod
    def example(cls) -> Self:
        return cls(user_id=UUID("01980000-0000-7000-8000-000000000004"), language="fr")


class SessionRevoked(Fact):
    """A sign-in has ended before its time: its access tokens, valid for up to ten minutes more, are worth nothing."""

    name: ClassVar[str] = "session.revoked"

    session_id: UUID
    user_id: UUID
    reason: str

    @classmethod
    def example(cls) -> Self:
        return cls(
            session_id=UUID("01980000-0000-7000-8000-000000000005"),
            user_id=UUID("01980000-0000-7000-8000-000000000004"),
            reason="logout",
        )


class MemberRoleChanged(Fact):
    """A member has another role; the gateway puts it in the place of what his access tokens say, at once."""

    name: ClassVar[str] = "member.role_changed"

    user_id: UUID
    role: str

    @classmethod
    def example(cls) -> Self:
        return cls(user_id=UUID("01980000-0000-7000-8000-000000000004"), role="viewer")


class MemberRemoved(Fact):
    """A person left or was removed; the gateway refuses his access tokens for this organization at once."""

    name: ClassVar[str] = "member.removed"

    user_id: UUID
    removed_by: UUID

    @classmethod
    def example(cls) -> Self:
        return cls(
            user_id=UUID("01980000-0000-7000-8000-000000000004"),
            removed_by=UUID("01980000-0000-7000-8000-000000000002"),
        )


class ApiKeyRevoked(Fact):
    """A key works no more; who remembers that it did forgets it at once."""

    name: ClassVar[str] = "api_key.revoked"

    key_id: UUID

    @classmethod
    def example(cls) -> Self:
        return cls(key_id=UUID("01980000-0000-7000-8000-000000000005"))


FACTS: tuple[type[Fact], ...] = (
    OrgProvisioned,
    OrgPlanChanged,
    OrgUpdated,
    OrgParticularsChanged,
    OrgSuspended,
    OrgReactivated,
    OrgExpired,
    OrgDeleted,
    MemberJoined,
    MemberRoleChanged,
    MemberRemoved,
    UserRegistered,
    SessionRevoked,
    ApiKeyRevoked,
)
