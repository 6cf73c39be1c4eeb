"""Subscriptions of tenancy: thin as routes. The models declare only the fields that are read."""

import logging
from datetime import datetime
from typing import Any
from uuid import UUID

from common.messaging import Envelope, Subscriptions
from prometheus_client import Counter
from pydantic import AwareDatetime, BaseModel, EmailStr, Field

from tenancy.domain.audit import AuditEntry
from tenancy.domain.limits import GB, IN_BYTES, Level
from tenancy.domain.organization import Entitlements, OrderKind, Status
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import Letters
from tenancy.usecases.announce_webhooks import announce
from tenancy.usecases.change_status import change_status
from tenancy.usecases.delete_organization import delete_unpaid_organization
from tenancy.usecases.extend_subscription import extend_subscription
from tenancy.usecases.provision_org import BoughtOrder, provision_org
from tenancy.usecases.record_usage import reconcile_usage, record_usage
from tenancy.usecases.shorten_subscription import shorten_subscription
from tenancy.usecases.tell_of_deleted_points import tell_of_deleted_points
from tenancy.usecases.warn_of_quota import warn_of_quota

log = logging.getLogger(__name__)

CORRECTED = Counter("usage_figures_corrected_total", "Figures of usage that were not what was counted", ["figure"])


class BoughtPlan(BaseModel):
    """The plan as it was bought, not as it may be sold by now."""

    name: str
    quotas: dict[str, int]
    features: dict[str, bool]
    retention: dict[str, int]


class BoughtPeriod(BaseModel):
    """What was paid for; the end is not part of it."""

    starts_at: AwareDatetime
    ends_at: AwareDatetime


class ChangedSubscription(BaseModel):
    """What tenancy reads of billing's `subscription.renewed` and `subscription.plan_changed`."""

    order_id: UUID
    billing_cycle: str
    plan: BoughtPlan
    period: BoughtPeriod

    def entitlements(self) -> Entitlements:
        """What was bought, in tenancy's words."""
        return Entitlements(
            plan=self.plan.name,
            billing_cycle=self.billing_cycle,
            quotas=self.plan.quotas,
            features=self.plan.features,
            retention=self.plan.retention,
            period_start=self.period.starts_at,
            period_end=self.period.ends_at,
        )


class PaidOrder(ChangedSubscription):
    """What tenancy reads of billing's `payment.confirmed`; the organization is the envelope's tenant."""

    kind: OrderKind
    user_id: UUID
    customer_name: str = Field(min_length=1, max_length=200)
    customer_email: EmailStr | None = None

    def bought(self) -> BoughtOrder:
        """The order of a new organization, in tenancy's words."""
        return BoughtOrder(
            order_id=self.order_id,
            buyer_id=self.user_id,
            customer_name=self.customer_name,
            customer_email=self.customer_email,
            bought=self.entitlements(),
        )


class StandingSubscription(BaseModel):
    """What tenancy reads of billing's `subscription.suspended` and `subscription.ended`."""

    order_id: UUID
    reason: str | None = None

    @property
    def ended_as(self) -> Status:
        """What an organization is whose subscription has ended."""
        return Status.CANCELLED if self.reason == "cancelled" else Status.EXPIRED


class ShortenedSubscription(BaseModel):
    """What tenancy reads of billing's `subscription.shortened`."""

    order_id: UUID
    ends_at: AwareDatetime


class ReportedUsage(BaseModel):
    """What tenancy reads of backup-engine's `usage.recorded`: whole figures, not differences."""

    esxi_servers_count: int | None = Field(None, ge=0)
    vms_count: int | None = Field(None, ge=0)
    backups_count: int | None = Field(None, ge=0)
    storage_bytes: int | None = Field(None, ge=0)
    measured_at: AwareDatetime | None = None
    reconciled: bool = False

    def figures(self) -> dict[str, int]:
        """The reported figures by name, without those that were left out."""
        return self.model_dump(exclude_none=True, exclude={"measured_at", "reconciled"})

    def moment(self, sent_at: datetime) -> datetime:
        return self.measured_at or sent_at


class NearQuota(BaseModel):
    """What tenancy reads of backup-engine's `quota.nearing`; of storage, figures are in bytes."""

    resource: str
    limit: int
    used: int

    def level(self) -> Level:
        return Level(self.resource, self.limit, self.used)


class HitQuota(BaseModel):
    """What tenancy reads of backup-engine's `quota.reached`; of storage, figures are in gigabytes."""

    resource: str
    limit: int
    current: int

    def level(self) -> Level:
        unit = GB if self.resource == IN_BYTES else 1
        return Level(self.resource, self.limit * unit, self.current * unit)


class DeletedPoints(BaseModel):
    """What tenancy reads of backup-engine's `points.deleted`."""

    restore_point_ids: list[UUID] = Field(min_length=1)
    deleted_by: UUID
    undo_until: AwareDatetime


class RecordedAct(BaseModel):
    """What tenancy reads of the other services' `audit.recorded`."""

    id: UUID
    number: int
    at: AwareDatetime
    actor: str
    action: str
    target: str
    reason: str
    address: str | None = None
    details: dict[str, Any]

    def entry(self, source: str) -> AuditEntry:
        """The act as an entry of the audit log, the organization's or the platform's."""
        return AuditEntry(source=source, **dict(self))


KEPT = {
    "tenancy": (
        "org.provisioned", "org.plan_changed", "org.updated", "org.suspended", "org.reactivated", "org.expired",
        "member.joined", "member.role_changed", "member.removed", "user.registered", "session.revoked",
        "api_key.revoked",
    ),
    "billing": (
        "subscription.renewal_due", "subscription.past_due", "payment.refunded",
        "payment.disputed", "payment.failed", "order.placed", "invoice.issued",
    ),
    "backup-engine": ("backup.completed", "backup.failed", "restore.completed"),
}  # fmt: skip
"""Facts that nothing follows from here but webhooks to customers."""


def subscriptions(letters: Letters) -> Subscriptions:
    """Everything that tenancy takes in."""
    taken = Subscriptions(consumer="tenancy")
    _follow_orders(taken, letters)
    _follow_subscriptions(taken, letters)
    _follow_quotas(taken, letters)
    _follow_points(taken, letters)
    _follow_reports(taken, letters)
    for source, names in KEPT.items():
        for name in names:
            taken.keep(name, version=1, source=source)
    taken.after_each(_announce)
    return taken


async def _announce(uow: UnitOfWork, envelope: Envelope) -> None:
    await announce(uow, envelope)


def _follow_orders(taken: Subscriptions, letters: Letters) -> None:
    @taken.on("payment.confirmed", version=1, source="billing")
    async def provision_on_payment(event: PaidOrder, uow: UnitOfWork, _envelope: Envelope) -> None:
        if event.kind is OrderKind.NEW:
            await provision_org(uow, letters, event.bought())
        else:
            await extend_subscription(uow, letters, event.order_id, event.kind, event.entitlements())

    @taken.on("subscription.renewed", version=1, source="billing")
    async def extend_on_renewal(event: ChangedSubscription, uow: UnitOfWork, envelope: Envelope) -> None:
        version = envelope.aggregateversion
        await extend_subscription(
            uow, letters, event.order_id, OrderKind.RENEWAL, event.entitlements(), version=version
        )

    @taken.on("subscription.plan_changed", version=1, source="billing")
    async def change_on_change(event: ChangedSubscription, uow: UnitOfWork, envelope: Envelope) -> None:
        await extend_subscription(
            uow, letters, event.order_id, OrderKind.CHANGE, event.entitlements(), version=envelope.aggregateversion
        )


def _follow_subscriptions(taken: Subscriptions, letters: Letters) -> None:
    @taken.on("subscription.suspended", version=1, source="billing")
    async def suspend(event: StandingSubscription, uow: UnitOfWork, envelope: Envelope) -> None:
        await change_status(
            uow,
            letters,
            Status.SUSPENDED,
            order_id=event.order_id,
            version=envelope.aggregateversion,
            disputed=event.reason == "dispute",
        )

    @taken.on("subscription.shortened", version=1, source="billing")
    async def shorten(event: ShortenedSubscription, uow: UnitOfWork, envelope: Envelope) -> None:
        version = envelope.aggregateversion
        await shorten_subscription(uow, event.ends_at, order_id=event.order_id, version=version)

    @taken.on("subscription.ended", version=1, source="billing")
    async def expire(event: StandingSubscription, uow: UnitOfWork, envelope: Envelope) -> None:
        await change_status(uow, letters, event.ended_as, order_id=event.order_id, version=envelope.aggregateversion)

    @taken.on("subscription.deletion_due", version=1, source="billing")
    async def delete_after_warnings(_event: StandingSubscription, uow: UnitOfWork, envelope: Envelope) -> None:
        await delete_unpaid_organization(uow, letters, version=envelope.aggregateversion)


def _follow_quotas(taken: Subscriptions, letters: Letters) -> None:
    @taken.on("quota.nearing", version=1, source="backup-engine")
    async def warn(event: NearQuota, uow: UnitOfWork, _envelope: Envelope) -> None:
        await warn_of_quota(uow, letters, "quota_nearing", event.level())

    @taken.on("quota.reached", version=1, source="backup-engine")
    async def tell(event: HitQuota, uow: UnitOfWork, _envelope: Envelope) -> None:
        await warn_of_quota(uow, letters, "quota_reached", event.level())


def _follow_points(taken: Subscriptions, letters: Letters) -> None:
    @taken.on("points.deleted", version=1, source="backup-engine")
    async def tell_of_deletion(event: DeletedPoints, uow: UnitOfWork, _envelope: Envelope) -> None:
        points, actor = event.restore_point_ids, event.deleted_by
        await tell_of_deleted_points(uow, letters, points, deleted_by=actor, undo_until=event.undo_until)


def _follow_reports(taken: Subscriptions, letters: Letters) -> None:
    @taken.on("usage.recorded", version=1, source="backup-engine")
    async def record_reported_usage(event: ReportedUsage, uow: UnitOfWork, envelope: Envelope) -> None:
        moment = event.moment(envelope.occurred_at)
        if not event.reconciled:
            await record_usage(uow, event.figures(), moment)
            return
        for figure, difference in (await reconcile_usage(uow, letters, event.figures(), moment)).items():
            CORRECTED.labels(figure).inc()
            log.warning("usage of %s: %s was wrong by %d", uow.tenant_id, figure, difference)

    for recorder in ("billing", "backup-engine"):

        @taken.on("audit.recorded", version=1, source=recorder, of_nobody=True)
        async def show_in_the_audit_log(event: RecordedAct, uow: UnitOfWork, envelope: Envelope) -> None:
            if envelope.tenantid is None:
                await uow.audit_trail.add_platforms(event.entry(envelope.source))
            else:
                await uow.audit_trail.add(envelope.tenantid, event.entry(envelope.source))
