"""Tenancy's facts about organizations, of which a new one completes its order; the backup engine's about usage.

The reader models declare only what is read. Deliveries run in the event's tenant, in one transaction each.
"""

from typing import Annotated, Any
from uuid import UUID

from common.messaging import Envelope, Subscriptions
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from billing.domain.order import Customer
from billing.domain.particulars import Particulars
from billing.domain.usage import Figure
from billing.persistence.unit_of_work import UnitOfWork
from billing.usecases.complete_order import complete_order, learn_organization

subscriptions = Subscriptions("billing")

SHOWN = (
    "id", "name", "slug", "status", "plan", "owner", "email", "billing_cycle", "subscription_start", "subscription_end",
)  # fmt: skip
"""Fields of the organization object that billing repeats in its answers."""


class OrganizationFact(BaseModel):
    """What any fact about an organization may say of it; only what it says replaces what is known."""

    model_config = ConfigDict(extra="ignore")

    id: UUID | None = None
    name: str | None = None
    slug: str | None = None
    status: str | None = None
    plan: Any = None
    owner: Any = None
    email: str | None = None
    billing_cycle: str | None = None
    subscription_start: str | None = None
    subscription_end: str | None = None

    def told(self) -> dict[str, Any]:
        """Return what the event says, as JSON."""
        said = self.model_dump(mode="json", include=set(SHOWN))
        return {name: value for name, value in said.items() if value is not None}

    def owner_id(self) -> UUID | None:
        """Return the owner's user id, however the event spells the owner."""
        spelled = self.owner.get("id") if isinstance(self.owner, dict) else self.owner
        return UUID(str(spelled)) if spelled else None


class OrganizationProvisioned(OrganizationFact):
    """A new organization, whole."""

    id: UUID
    name: str
    slug: str
    status: str


@subscriptions.on("org.provisioned", source="tenancy")
async def complete_on_provisioning(event: OrganizationProvisioned, uow: UnitOfWork, envelope: Envelope) -> None:
    """Complete the order that paid for the organization."""
    await learn_organization(uow, event.told(), owner_id=event.owner_id(), version=envelope.aggregateversion)
    await complete_order(uow)


class ReportedUsage(BaseModel):
    """What billing reads of the backup engine's `usage.recorded`: whole figures, not differences."""

    esxi_servers_count: int | None = Field(None, ge=0)
    vms_count: int | None = Field(None, ge=0)
    storage_bytes: int | None = Field(None, ge=0)
    measured_at: AwareDatetime

    def figures(self) -> dict[str, Figure]:
        """Return the reported figures by name, without those that were left out."""
        reported = self.model_dump(exclude_none=True, exclude={"measured_at"})
        return {name: Figure(value, self.measured_at) for name, value in reported.items()}


@subscriptions.on("usage.recorded", source="backup-engine")
async def learn_usage(event: ReportedUsage, uow: UnitOfWork, _envelope: Envelope) -> None:
    """Keep what is used, for the next change of plan."""
    await uow.usage.learn(uow.tenant_id, event.figures())


class Member(BaseModel):
    """Who came or went; only that one did is counted."""

    model_config = ConfigDict(extra="ignore")

    user_id: UUID


@subscriptions.on("member.joined", source="tenancy")
async def count_member(_event: Member, uow: UnitOfWork, envelope: Envelope) -> None:
    """Count one more member, beside the owner whom an organization begins with."""
    await uow.usage.count(uow.tenant_id, "users_count", +1, first=1, at=envelope.time)


@subscriptions.on("member.removed", source="tenancy")
async def count_member_out(_event: Member, uow: UnitOfWork, envelope: Envelope) -> None:
    """Count one member less."""
    await uow.usage.count(uow.tenant_id, "users_count", -1, first=1, at=envelope.time)


async def _learn(event: OrganizationFact, uow: UnitOfWork, envelope: Envelope) -> None:
    await learn_organization(uow, event.told(), owner_id=event.owner_id(), version=envelope.aggregateversion)


@subscriptions.on("org.plan_changed", source="tenancy")
async def learn_plan(event: OrganizationFact, uow: UnitOfWork, envelope: Envelope) -> None:
    """Keep the plan in force for answers."""
    await _learn(event, uow, envelope)


@subscriptions.on("org.updated", source="tenancy")
async def learn_particulars(event: OrganizationFact, uow: UnitOfWork, envelope: Envelope) -> None:
    """Keep name, address and owner for answers and for what only an owner may do."""
    await _learn(event, uow, envelope)


OneLine = Annotated[str | None, BeforeValidator(lambda value: " ".join(value.split()) or None if value else None)]
"""What would break a line of an invoice is a blank; nothing but blanks is nothing."""


class StatedParticulars(BaseModel):
    """Who the organization is on its invoices by its settings, whole."""

    model_config = ConfigDict(extra="ignore")

    name: OneLine
    email: str
    phone: OneLine = None
    address: OneLine = None
    rccm: OneLine = None
    niu: OneLine = None

    def customer(self) -> Customer:
        """Return them as an order names its customer."""
        return Customer(self.name or "", self.email, self.phone, self.address, self.rccm, self.niu)


@subscriptions.on("org.particulars_changed", source="tenancy")
async def learn_invoice_particulars(event: StatedParticulars, uow: UnitOfWork, envelope: Envelope) -> None:
    """Keep what an invoice names where its order says nothing.

    It has to be in the fact: the law wants the customer's address, register and taxpayer numbers on an invoice
    (`domain.paper`), an invoice is numbered in a transaction that may ask nobody, and renewals are made where no
    customer is there to type them. They go with the organization: the row, and the fact itself from outbox and inbox.
    """
    await uow.particulars.learn(
        uow.tenant_id, Particulars(event.customer(), envelope.time), version=envelope.aggregateversion
    )


@subscriptions.on("org.suspended", source="tenancy")
async def learn_suspension(event: OrganizationFact, uow: UnitOfWork, envelope: Envelope) -> None:
    """Keep the state for answers."""
    await _learn(event.model_copy(update={"status": event.status or "suspended"}), uow, envelope)


@subscriptions.on("org.reactivated", source="tenancy")
async def learn_reactivation(event: OrganizationFact, uow: UnitOfWork, envelope: Envelope) -> None:
    """Keep the state for answers."""
    await _learn(event.model_copy(update={"status": event.status or "active"}), uow, envelope)


@subscriptions.on("org.expired", source="tenancy")
async def learn_expiry(event: OrganizationFact, uow: UnitOfWork, envelope: Envelope) -> None:
    """Keep the state for answers."""
    await _learn(event.model_copy(update={"status": event.status or "expired"}), uow, envelope)


class DeletedOrganization(BaseModel):
    """The fact that an organization is gone says nothing that we need."""

    model_config = ConfigDict(extra="ignore")


@subscriptions.on("org.deleted", source="tenancy")
async def forget_organization(_event: DeletedOrganization, uow: UnitOfWork, _envelope: Envelope) -> None:
    """Forget what only serves selling; the books stay."""
    await uow.request_erasure()
