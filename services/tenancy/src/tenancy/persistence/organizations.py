"""Organizations and what belongs to them, as rows; through `for_tenant` unless a method says otherwise."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import RowMapping, delete, func, insert, literal, or_, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from tenancy.domain.invitations import Invitation
from tenancy.domain.membership import Membership
from tenancy.domain.organization import Entitlements, OrderKind, Organization, Status
from tenancy.domain.particulars import Particulars
from tenancy.domain.roles import Role
from tenancy.domain.slug import candidates
from tenancy.domain.usage import FIGURES, Usage, UsageMonth
from tenancy.errors import OrderOfAnotherOrganization
from tenancy.persistence.tables import (
    applied_orders,
    entitlements,
    invitations,
    memberships,
    organizations,
    usage_metrics,
)


class Organizations:
    """The organization of the transaction's tenant, with its entitlements."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def serialize(self, tenant_id: UUID) -> None:
        """Let one transaction at a time work on this organization, also before it has a row to lock."""
        await self._session.execute(
            text("select pg_advisory_xact_lock(hashtextextended(:tenant, 0))"), {"tenant": f"org:{tenant_id}"}
        )

    async def get(self, tenant_id: UUID, *, lock: bool = False) -> Organization | None:
        """Read the organization; `lock` where something is counted against its quotas or it is changed."""
        found = (
            select(organizations, *(c for c in entitlements.c if c.name != "tenant_id"))
            .join(entitlements, organizations.c.tenant_id == entitlements.c.tenant_id)
            .where(organizations.c.tenant_id == tenant_id)
        )
        row = (await self._session.execute(found.with_for_update() if lock else found)).mappings().one_or_none()
        return None if row is None else _organization(row)

    async def add(self, organization: Organization) -> Organization:
        """Insert the organization under the first free slug and return it with that slug.

        Raises:
            OrderOfAnotherOrganization: its order already created an organization with another id.
        """
        for slug in candidates(organization.name, organization.id):
            try:
                added = await self._session.execute(
                    upsert(organizations)
                    .values(**_organization_values(organization), slug=slug, tenant_id=organization.id)
                    .on_conflict_do_nothing(index_elements=["slug"])
                    .returning(organizations.c.slug)
                )
            except IntegrityError as clash:
                if "uq_organizations_source_order_id" not in str(clash):
                    raise
                raise OrderOfAnotherOrganization(
                    order_id=organization.source_order_id, organization_id=organization.id
                ) from clash
            if added.scalar_one_or_none() is not None:
                break
        await self._session.execute(
            insert(entitlements).values(tenant_id=organization.id, **asdict(organization.entitlements))
        )
        return organization.with_slug(slug)

    async def save(self, organization: Organization) -> None:
        """Write what may change: name, address, owner, status, version and entitlements."""
        await self._session.execute(
            update(organizations)
            .where(organizations.c.tenant_id == organization.id)
            .values(
                name=organization.name,
                email=organization.email,
                owner_user_id=organization.owner_user_id,
                status=organization.status.value,
                version=organization.version,
            )
        )
        await self._session.execute(
            update(entitlements)
            .where(entitlements.c.tenant_id == organization.id)
            .values(**asdict(organization.entitlements))
        )

    async def deletion_due_at(self, tenant_id: UUID) -> datetime | None:
        found = select(organizations.c.deletion_due_at).where(organizations.c.tenant_id == tenant_id)
        due: datetime | None = (await self._session.execute(found)).scalar_one()
        return due

    async def set_deletion(self, tenant_id: UUID, due_at: datetime | None) -> None:
        await self._session.execute(
            update(organizations).where(organizations.c.tenant_id == tenant_id).values(deletion_due_at=due_at)
        )

    async def due_for_deletion(self, now: datetime) -> list[UUID]:
        """Organizations whose grace is over. Needs `for_system("janitor")`."""
        due = select(organizations.c.tenant_id).where(organizations.c.deletion_due_at <= now)
        return list((await self._session.scalars(due.order_by(organizations.c.deletion_due_at).limit(100))).all())

    async def held_for(self, tenant_id: UUID) -> str | None:
        """Why staff holds it; None where nobody does."""
        found = select(organizations.c.held_for).where(organizations.c.tenant_id == tenant_id)
        reason: str | None = (await self._session.execute(found)).scalar_one()
        return reason

    async def hold(self, tenant_id: UUID, reason: str | None) -> None:
        await self._session.execute(
            update(organizations).where(organizations.c.tenant_id == tenant_id).values(held_for=reason)
        )

    async def search(
        self, *, text: str | None, status: Status | None, plan: str | None, after: UUID | None, limit: int
    ) -> list[Organization]:
        """Organizations of everybody, newest first. Needs `for_system("staff")`."""
        found = select(organizations, *(c for c in entitlements.c if c.name != "tenant_id")).join(
            entitlements, organizations.c.tenant_id == entitlements.c.tenant_id
        )
        if text is not None:
            looked_in = (organizations.c.name, organizations.c.slug, organizations.c.email)
            found = found.where(or_(*(column.icontains(text, autoescape=True) for column in looked_in)))
        if status is not None:
            found = found.where(organizations.c.status == status.value)
        if plan is not None:
            found = found.where(entitlements.c.plan == plan)
        if after is not None:
            found = found.where(organizations.c.tenant_id < after)
        rows = await self._session.execute(found.order_by(organizations.c.tenant_id.desc()).limit(limit))
        return [_organization(row) for row in rows.mappings()]

    async def particulars(self, tenant_id: UUID) -> Particulars:
        columns = [organizations.c[field.name] for field in fields(Particulars)]
        row = await self._session.execute(select(*columns).where(organizations.c.tenant_id == tenant_id))
        return Particulars(**row.mappings().one())

    async def set_particulars(self, tenant_id: UUID, particulars: Particulars) -> None:
        await self._session.execute(
            update(organizations).where(organizations.c.tenant_id == tenant_id).values(**asdict(particulars))
        )

    async def advance_subscription(self, tenant_id: UUID, version: int) -> bool:
        """Note the version of billing's subscription; False when a newer one is known."""
        advanced = await self._session.execute(
            update(entitlements)
            .where(entitlements.c.tenant_id == tenant_id, entitlements.c.subscription_version <= version)
            .values(subscription_version=version)
            .returning(entitlements.c.tenant_id)
        )
        return advanced.scalar_one_or_none() is not None

    async def apply_order(self, organization: Organization, order_id: UUID, kind: OrderKind, at: datetime) -> bool:
        """Note that a paid order has its effect; False when it had it before."""
        bought = organization.entitlements
        added = await self._session.execute(
            upsert(applied_orders)
            .values(
                tenant_id=organization.id,
                order_id=order_id,
                kind=kind.value,
                plan=bought.plan,
                period_end=bought.period_end,
                applied_at=at,
            )
            .on_conflict_do_nothing()
            .returning(applied_orders.c.order_id)
        )
        return added.scalar_one_or_none() is not None


def _organization_values(organization: Organization) -> dict[str, object]:
    kept = asdict(organization)
    for name in ("id", "slug", "entitlements"):
        del kept[name]
    return kept | {"status": organization.status.value}


def _organization(row: RowMapping) -> Organization:
    return Organization(
        id=row["tenant_id"],
        name=row["name"],
        slug=row["slug"],
        status=Status(row["status"]),
        owner_user_id=row["owner_user_id"],
        email=row["email"],
        region=row["region"],
        source_order_id=row["source_order_id"],
        subscription_start=row["subscription_start"],
        version=row["version"],
        created_at=row["created_at"],
        entitlements=Entitlements(
            plan=row["plan"],
            billing_cycle=row["billing_cycle"],
            quotas=row["quotas"],
            features=row["features"],
            retention=row["retention"],
            period_start=row["period_start"],
            period_end=row["period_end"],
        ),
    )


class Memberships:
    """Members of the transaction's tenant or, through `for_user` and `for_system("auth")`, of one person."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, membership: Membership) -> bool:
        """Insert a membership; False when the person is a member already."""
        added = await self._session.execute(
            upsert(memberships)
            .values(**(asdict(membership) | {"role": membership.role.value}))
            .on_conflict_do_nothing()
            .returning(memberships.c.user_id)
        )
        return added.scalar_one_or_none() is not None

    async def of_person(self, user_id: UUID) -> list[Membership]:
        """All organizations of a person, oldest membership first."""
        rows = await self._session.execute(
            select(memberships)
            .where(memberships.c.user_id == user_id)
            .order_by(memberships.c.joined_at, memberships.c.tenant_id)
        )
        return [_membership(row) for row in rows.mappings()]

    async def of_tenant(
        self, tenant_id: UUID, *, after: tuple[datetime, UUID] | None, limit: int | None
    ) -> Sequence[Membership]:
        """Members of an organization in the order in which they joined."""
        key = tuple_(memberships.c.joined_at, memberships.c.user_id)
        found = select(memberships).where(memberships.c.tenant_id == tenant_id)
        if after is not None:
            found = found.where(key > tuple_(literal(after[0]), literal(after[1])))
        rows = await self._session.execute(found.order_by(memberships.c.joined_at, memberships.c.user_id).limit(limit))
        return [_membership(row) for row in rows.mappings()]

    async def describe(self, user_id: UUID, *, email: str, full_name: str) -> None:
        """Write a member's address and name as they are now."""
        mine = update(memberships).where(memberships.c.user_id == user_id)
        await self._session.execute(mine.values(email=email, full_name=full_name))

    async def get(self, tenant_id: UUID, user_id: UUID) -> Membership | None:
        found = select(memberships).where(memberships.c.tenant_id == tenant_id, memberships.c.user_id == user_id)
        row = (await self._session.execute(found)).mappings().one_or_none()
        return None if row is None else _membership(row)

    async def owners(self, tenant_id: UUID) -> list[Membership]:
        """The owners, longest a member first; the caller holds the organization's lock."""
        rows = await self._session.execute(
            select(memberships)
            .where(memberships.c.tenant_id == tenant_id, memberships.c.role == Role.OWNER.value)
            .order_by(memberships.c.joined_at, memberships.c.user_id)
        )
        return [_membership(row) for row in rows.mappings()]

    async def with_roles(self, tenant_id: UUID, roles: Iterable[Role]) -> list[Membership]:
        """Members who have one of these roles, longest a member first."""
        rows = await self._session.execute(
            select(memberships)
            .where(memberships.c.tenant_id == tenant_id, memberships.c.role.in_([role.value for role in roles]))
            .order_by(memberships.c.joined_at, memberships.c.user_id)
        )
        return [_membership(row) for row in rows.mappings()]

    async def set_role(self, membership: Membership, role: Role) -> None:
        await self._session.execute(
            update(memberships)
            .where(memberships.c.tenant_id == membership.tenant_id, memberships.c.user_id == membership.user_id)
            .values(role=role.value)
        )

    async def remove(self, membership: Membership) -> None:
        await self._session.execute(
            delete(memberships).where(
                memberships.c.tenant_id == membership.tenant_id, memberships.c.user_id == membership.user_id
            )
        )

    async def has_email(self, tenant_id: UUID, email: str) -> bool:
        found = select(func.count()).where(memberships.c.tenant_id == tenant_id, memberships.c.email == email)
        return bool(await self._session.scalar(found))

    async def count(self, tenant_id: UUID) -> int:
        found = select(func.count()).select_from(memberships).where(memberships.c.tenant_id == tenant_id)
        return int(await self._session.scalar(found) or 0)


def _membership(row: RowMapping) -> Membership:
    return Membership(**(dict(row) | {"role": Role(row["role"])}))


class UsageMetrics:
    """Figures per usage month of the transaction's tenant."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get(self, tenant_id: UUID, month: UsageMonth) -> Usage | None:
        found = select(usage_metrics).where(
            usage_metrics.c.tenant_id == tenant_id, usage_metrics.c.period_start == month.start
        )
        return _usage((await self._session.execute(found)).mappings().one_or_none())

    async def history(self, tenant_id: UUID, *, before: date | None, limit: int) -> list[Usage]:
        """Months that were kept, newest first."""
        found = select(usage_metrics).where(usage_metrics.c.tenant_id == tenant_id)
        if before is not None:
            found = found.where(usage_metrics.c.period_start < before)
        rows = await self._session.execute(found.order_by(usage_metrics.c.period_start.desc()).limit(limit))
        return [usage for row in rows.mappings() if (usage := _usage(row))]

    async def newest(self, tenant_id: UUID) -> Usage | None:
        found = select(usage_metrics).where(usage_metrics.c.tenant_id == tenant_id)
        newest = found.order_by(usage_metrics.c.period_start.desc()).limit(1)
        return _usage((await self._session.execute(newest)).mappings().one_or_none())

    async def save(self, tenant_id: UUID, usage: Usage) -> None:
        """Write a month's figures; the caller holds the organization's lock."""
        figures: dict[str, object] = {name: getattr(usage, name) for name in FIGURES}
        figures["measured"] = {name: at.isoformat() for name, at in usage.measured.items()}
        await self._session.execute(
            upsert(usage_metrics)
            .values(tenant_id=tenant_id, period_start=usage.month.start, period_end=usage.month.end, **figures)
            .on_conflict_do_update(index_elements=["tenant_id", "period_start"], set_=figures)
        )


def _usage(row: RowMapping | None) -> Usage | None:
    if row is None:
        return None
    return Usage(
        UsageMonth(row["period_start"], row["period_end"]),
        **{name: row[name] for name in FIGURES},
        measured={name: datetime.fromisoformat(at) for name, at in row["measured"].items()},
    )


class Invitations:
    """Open and used invitations; `by_hash` also works through `for_system("auth")`, across organizations."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, invitation: Invitation, token_hash: bytes) -> None:
        await self._session.execute(
            insert(invitations).values(**(asdict(invitation) | {"role": invitation.role.value}), token_hash=token_hash)
        )

    async def by_hash(self, token_hash: bytes, *, lock: bool = False) -> Invitation | None:
        found = select(*(c for c in invitations.c if c.name != "token_hash")).where(
            invitations.c.token_hash == token_hash
        )
        row = (await self._session.execute(found.with_for_update() if lock else found)).mappings().one_or_none()
        return None if row is None else Invitation(**(dict(row) | {"role": Role(row["role"])}))

    async def replace_open(self, tenant_id: UUID, email: str) -> None:
        """Revoke open invitations to an address: only the newest link works."""
        await self._session.execute(
            update(invitations)
            .where(
                invitations.c.tenant_id == tenant_id,
                invitations.c.email == email,
                invitations.c.accepted_at.is_(None),
            )
            .values(revoked=True)
        )

    async def sent_since(self, tenant_id: UUID, since: datetime) -> list[tuple[str, datetime]]:
        """Whom an organization's invitations went to, and when, those among them that were revoked."""
        found = select(invitations.c.email, invitations.c.sent_at).where(
            invitations.c.tenant_id == tenant_id, invitations.c.sent_at > since, invitations.c.accepted_at.is_(None)
        )
        return [(row.email, row.sent_at) for row in await self._session.execute(found)]

    async def count_open(self, tenant_id: UUID, now: datetime, *, but_for: str) -> int:
        """Invitations that may still be accepted, those to the address `but_for` left out."""
        found = select(func.count()).where(
            invitations.c.tenant_id == tenant_id,
            invitations.c.email != but_for,
            invitations.c.accepted_at.is_(None),
            invitations.c.revoked.is_(False),
            invitations.c.expires_at > now,
        )
        return int(await self._session.scalar(found) or 0)

    async def get(self, tenant_id: UUID, invitation_id: UUID) -> Invitation | None:
        found = select(*(c for c in invitations.c if c.name != "token_hash")).where(
            invitations.c.tenant_id == tenant_id, invitations.c.id == invitation_id
        )
        row = (await self._session.execute(found)).mappings().one_or_none()
        return None if row is None else Invitation(**(dict(row) | {"role": Role(row["role"])}))

    async def open_ones(self, tenant_id: UUID, *, after: UUID | None, limit: int) -> list[Invitation]:
        """Invitations that nobody accepted or revoked, newest first; expired ones can be sent again."""
        found = select(*(c for c in invitations.c if c.name != "token_hash")).where(
            invitations.c.tenant_id == tenant_id,
            invitations.c.accepted_at.is_(None),
            invitations.c.revoked.is_(False),
        )
        if after is not None:
            found = found.where(invitations.c.id < after)
        rows = await self._session.execute(found.order_by(invitations.c.id.desc()).limit(limit))
        return [Invitation(**(dict(row) | {"role": Role(row["role"])})) for row in rows.mappings()]

    async def renew(self, invitation: Invitation, token_hash: bytes) -> None:
        """Give an invitation a new link; the former one stops working."""
        await self._session.execute(
            update(invitations)
            .where(invitations.c.tenant_id == invitation.tenant_id, invitations.c.id == invitation.id)
            .values(token_hash=token_hash, expires_at=invitation.expires_at, sent_at=invitation.sent_at)
        )

    async def revoke(self, invitation: Invitation) -> None:
        await self._session.execute(
            update(invitations)
            .where(invitations.c.tenant_id == invitation.tenant_id, invitations.c.id == invitation.id)
            .values(revoked=True)
        )

    async def accept(self, invitation: Invitation, at: datetime) -> None:
        await self._session.execute(
            update(invitations)
            .where(invitations.c.tenant_id == invitation.tenant_id, invitations.c.id == invitation.id)
            .values(accepted_at=at)
        )
