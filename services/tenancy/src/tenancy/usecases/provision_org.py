"""A paid order becomes an organization, exactly once."""

from dataclasses import dataclass
from uuid import UUID

from common.crash_points import reach

from tenancy.domain.membership import Membership
from tenancy.domain.organization import Entitlements, OrderKind, Organization, Status
from tenancy.domain.particulars import Particulars
from tenancy.domain.people import DAY, NamedPerson
from tenancy.domain.roles import Role
from tenancy.domain.usage import Usage, UsageMonth
from tenancy.errors import BuyerNotYetKnown, OrganizationOfAnotherOrder
from tenancy.events import OrgParticularsChanged, OrgProvisioned
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import Letters

WELCOME = "welcome"


@dataclass(frozen=True, slots=True)
class BoughtOrder:
    """What a confirmed payment says was bought, by whom and until when."""

    order_id: UUID
    buyer_id: UUID
    customer_name: str
    customer_email: str | None
    bought: Entitlements


async def provision_org(uow: UnitOfWork, letters: Letters, order: BoughtOrder) -> None:
    """Create the organization that an order of kind `new` bought. A second call for the same order does nothing.

    Raises:
        OrganizationOfAnotherOrder: the organization exists and another order created it.
        OrderOfAnotherOrganization: the order created another organization.
        BuyerNotYetKnown: the buyer has no account here yet.
    """
    # Two events about one order may be handled at once, and before the first there is no row to lock.
    await uow.organizations.serialize(uow.tenant_id)
    known = await uow.organizations.get(uow.tenant_id, lock=True)
    if known is None:
        await _create(uow, letters, order)
    elif known.source_order_id != order.order_id:
        raise OrganizationOfAnotherOrder(
            organization_id=known.id, known_order_id=known.source_order_id, order_id=order.order_id
        )


async def _create(uow: UnitOfWork, letters: Letters, order: BoughtOrder) -> None:
    now = uow.clock.now()
    owner = await uow.people.named(order.buyer_id)
    if owner is None:
        raise BuyerNotYetKnown
    organization = await uow.organizations.add(
        Organization(
            id=uow.tenant_id,
            name=order.customer_name,
            slug="",
            status=Status.ACTIVE,
            owner_user_id=owner.id,
            email=order.customer_email or owner.email,
            region=uow.region,
            source_order_id=order.order_id,
            subscription_start=order.bought.period_start,
            entitlements=order.bought,
            version=1,
            created_at=now,
        )
    )
    await uow.organizations.apply_order(organization, order.order_id, OrderKind.NEW, now)
    reach("tenancy.organization.added")
    await uow.memberships.add(
        Membership(organization.id, owner.id, Role.OWNER, owner.email, owner.full_name, joined_at=now)
    )
    month = UsageMonth.at(organization.subscription_start.date(), now)
    await uow.usage.save(organization.id, Usage(month, users_count=1))
    await uow.publish(
        OrgProvisioned.of(organization, order.order_id),
        subject=str(organization.id),
        aggregate_version=organization.version,
    )
    await uow.publish(
        OrgParticularsChanged.of(Particulars(organization.name, organization.email)),
        subject=str(organization.id),
        aggregate_version=organization.version,
    )
    reach("tenancy.provisioning.told")
    await _welcome(uow, letters, owner, organization)


async def _welcome(uow: UnitOfWork, letters: Letters, owner: NamedPerson, organization: Organization) -> None:
    await uow.send_mail(
        letters.write(
            WELCOME,
            to=owner.email,
            key=WELCOME,
            language=owner.language,
            person=owner.full_name,
            organization=organization.name,
            plan=organization.entitlements.plan.capitalize(),
            until=f"{organization.entitlements.period_end:{DAY[owner.language]}}",
        )
    )
