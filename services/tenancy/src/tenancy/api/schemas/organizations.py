"""Bodies and answers of `/api/tenants/organizations/`."""

from datetime import date, datetime
from typing import Annotated, Any, Self
from uuid import UUID

from common.web import Answer, Body, OneLine
from pydantic import Field

from tenancy.api.schemas.auth import Email
from tenancy.domain.invitations import Invitation
from tenancy.domain.limits import GB, Level, passed
from tenancy.domain.membership import Membership
from tenancy.domain.organization import Organization
from tenancy.domain.roles import Role
from tenancy.domain.usage import FIGURES, Usage


class OrganizationOut(Answer):
    """The organization object, the same wherever it appears; `owner` is a user's id."""

    id: UUID
    name: str
    slug: str
    status: str
    plan: str
    owner: UUID
    email: str
    billing_cycle: str
    subscription_start: datetime
    subscription_end: datetime

    @classmethod
    def of(cls, organization: Organization) -> Self:
        bought = organization.entitlements
        return cls(
            id=organization.id,
            name=organization.name,
            slug=organization.slug,
            status=organization.status,
            plan=bought.plan,
            owner=organization.owner_user_id,
            email=organization.email,
            billing_cycle=bought.billing_cycle,
            subscription_start=organization.subscription_start,
            subscription_end=bought.period_end,
        )


class MemberOut(Answer):
    """A member as fellow members see them."""

    user_id: UUID
    email: str
    full_name: str
    role: str
    joined_at: datetime

    @classmethod
    def of(cls, member: Membership) -> Self:
        return cls(
            user_id=member.user_id,
            email=member.email,
            full_name=member.full_name,
            role=member.role,
            joined_at=member.joined_at,
        )


class InviteIn(Body):
    """Whom to invite, and as what."""

    email: Email
    role: Role = Role.MEMBER


class InvitationOut(Answer):
    """An invitation without its link: only the mail has that."""

    id: UUID
    email: str
    role: str
    invited_by: UUID
    created_at: datetime
    sent_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, invitation: Invitation) -> Self:
        return cls.model_validate(invitation)


class RoleIn(Body):
    """The role that a member shall have."""

    role: Role


class NewOwnerIn(Body):
    """The member to whom the organization is handed over."""

    user_id: UUID


Line = Annotated[str, Field(max_length=300)]


class SettingsOut(Answer):
    """Who the organization is on its invoices, and whom to reach (`email` about money, `technical_email` otherwise)."""

    name: str
    email: str
    phone: str | None
    address: str | None
    rccm: str | None
    niu: str | None
    technical_email: str | None


class SettingsIn(Body):
    """What is named changes, the rest stays; null takes an optional one away."""

    name: Annotated[OneLine, Field(min_length=1, max_length=200)] = Field(default_factory=str)
    email: Email = Field(default_factory=str)
    phone: Annotated[str, Field(max_length=40, pattern=r"^\+?[0-9 ().-]{4,}$")] | None = None
    address: Line | None = None
    rccm: Annotated[OneLine, Field(max_length=60)] | None = None
    niu: Annotated[OneLine, Field(max_length=60)] | None = None
    technical_email: Email | None = None

    def changes(self) -> dict[str, Any]:
        """What the caller named."""
        return self.model_dump(exclude_unset=True)


class AcceptedOut(Answer):
    """The organization that the caller now belongs to."""

    organization: UUID
    role: str


class UsageMonthOut(Answer):
    """The figures of one usage month; `period_end` is its last day."""

    period_start: date
    period_end: date
    esxi_servers_count: int
    vms_count: int
    backups_count: int
    storage_bytes: int
    users_count: int

    @classmethod
    def of_month(cls, usage: Usage) -> Self:
        figures = {name: getattr(usage, name) for name in FIGURES}
        return cls(period_start=usage.month.start, period_end=usage.month.last_day, **figures)


class OverQuotaOut(Answer):
    """A limit that is passed and by how much, in the words of `quota_reached`; storage in started gigabytes."""

    resource: str
    limit: int
    current: int
    over: int

    @classmethod
    def of(cls, level: Level) -> Self:
        unit = GB if level.in_bytes else 1
        limit, current = level.limit // unit, -(-level.used // unit)
        return cls(resource=level.resource, limit=limit, current=current, over=current - limit)


class UsageOut(Answer):
    """The running usage month; `period_end` is its last day, `limits` are the plan's quotas.

    `over_quota`: what a smaller plan left too much of. It stays, and nothing more of it can be added.
    """

    period_start: date
    period_end: date
    esxi_servers_count: int = Field(ge=0)
    vms_count: int = Field(ge=0)
    backups_count: int = Field(ge=0)
    storage_bytes: int = Field(ge=0)
    users_count: int = Field(ge=0)
    limits: dict[str, int]
    over_quota: list[OverQuotaOut]

    @classmethod
    def of(cls, usage: Usage, organization: Organization) -> Self:
        return cls(
            period_start=usage.month.start,
            period_end=usage.month.last_day,
            esxi_servers_count=usage.esxi_servers_count,
            vms_count=usage.vms_count,
            backups_count=usage.backups_count,
            storage_bytes=usage.storage_bytes,
            users_count=usage.users_count,
            limits=organization.entitlements.quotas,
            over_quota=[OverQuotaOut.of(level) for level in passed(usage, organization.entitlements.quotas)],
        )


class DeletionIn(Body):
    """`confirmation` is the organization's slug: nobody deletes by mistake."""

    confirmation: Annotated[str, Field(max_length=100)]


class DeletionStateOut(Answer):
    """When the organization will be deleted; null where nobody asked for it."""

    deletion_due_at: datetime | None


class DeletionOut(Answer):
    """When the organization will be deleted; until then an owner can call it off, and everything works."""

    deletion_due_at: datetime
