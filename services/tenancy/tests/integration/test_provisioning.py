"""A confirmed payment becomes an organization, exactly once."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest
from common.ids import uuid7
from common.persistence.mechanisms import mails
from common.testing import eventually
from sqlalchemy import select
from tenancy.persistence import tables
from tenancy.testing import QUOTAS, Tenancy, envelope, payment_confirmed

pytestmark = pytest.mark.integration
BORN = ["org.provisioned.v1", "org.particulars_changed.v1"]


async def test_a_payment_opens_an_organization_named_as_the_customer_with_its_owner(tenancy: Tenancy) -> None:
    owner = await tenancy.person()
    tenant = await tenancy.organization(owner, customer_name="Test Company")
    (organization,) = await tenancy.rows(tenant, tables.organizations)
    (entitlements,) = await tenancy.rows(tenant, tables.entitlements)
    (membership,) = await tenancy.rows(tenant, tables.memberships)
    assert (organization["name"], organization["status"], organization["slug"]) == (
        "Test Company",
        "active",
        "test-company",
    )
    assert (entitlements["plan"], entitlements["quotas"]) == ("silver", QUOTAS)
    assert (membership["user_id"], membership["role"]) == (owner.id, "owner")


async def test_usage_metrics_exist_with_one_user(tenancy: Tenancy) -> None:
    tenant = await tenancy.organization(await tenancy.person())
    (usage,) = await tenancy.rows(tenant, tables.usage_metrics)
    assert usage["users_count"] == 1
    assert (usage["period_start"], usage["period_end"]) == (date(2026, 11, 22), date(2026, 12, 22))


@pytest.mark.invariant("S49")
async def test_org_provisioned_carries_the_whole_state_and_its_cause(tenancy: Tenancy) -> None:
    owner = await tenancy.person()
    event = payment_confirmed(owner)
    await tenancy.receive(event)
    fact, _particulars = await tenancy.facts(event.tenantid)
    assert fact["type"] == "org.provisioned.v1"
    assert (fact["tenantid"], fact["aggregateversion"], fact["causationid"]) == (str(event.tenantid), 1, str(event.id))
    assert (
        fact["data"].items()
        >= {
            "id": str(event.tenantid),
            "name": "Société Exemple",
            "slug": fact["data"]["slug"],
            "status": "active",
            "plan": "silver",
            "owner": str(owner.id),
            "email": "it@exemple.cm",
            "billing_cycle": "monthly",
            "order_id": event.data["order_id"],
            "quotas": QUOTAS,
        }.items()
    )


@pytest.mark.invariant("S46")
@pytest.mark.invariant("S45")
async def test_parallel_duplicates_make_one_of_everything(tenancy: Tenancy) -> None:
    owner = await tenancy.person()
    tenant, order, same_event = uuid7(), uuid7(), uuid7()
    # The same event redelivered, and the same order told of by other events.
    events = [payment_confirmed(owner, tenant_id=tenant, order_id=order, event_id=same_event) for _ in range(4)]
    events += [payment_confirmed(owner, tenant_id=tenant, order_id=order) for _ in range(6)]
    await asyncio.gather(*(tenancy.inbox.receive(event) for event in events))
    await asyncio.gather(*(tenancy.inbox.handle_due() for _ in range(3)))
    for table in (
        tables.organizations,
        tables.memberships,
        tables.entitlements,
        tables.usage_metrics,
        tables.applied_orders,
    ):
        assert len(await tenancy.rows(tenant, table)) == 1, table.name
    assert [fact["type"] for fact in await tenancy.facts(tenant)] == BORN
    assert len(await tenancy.mails_to(owner.email)) == 1
    assert {(await tenancy.inbox_row(event.id)).status for event in events} == {"done"}


async def test_the_same_organization_for_another_order_parks(tenancy: Tenancy) -> None:
    owner = await tenancy.person()
    tenant = await tenancy.organization(owner)
    other = payment_confirmed(owner, tenant_id=tenant)
    await tenancy.receive(other)
    row = await tenancy.inbox_row(other.id)
    assert (row.status, "OrganizationOfAnotherOrder" in row.reason) == ("parked", True)
    assert len(await tenancy.facts(tenant)) == 2


@pytest.mark.invariant("S46")
async def test_one_order_cannot_open_two_organizations(tenancy: Tenancy) -> None:
    owner = await tenancy.person()
    first = payment_confirmed(owner)
    second = payment_confirmed(owner, order_id=first.data["order_id"])
    await tenancy.receive(first)
    await tenancy.receive(second)
    row = await tenancy.inbox_row(second.id)
    assert (row.status, "OrderOfAnotherOrganization" in row.reason) == ("parked", True)
    assert await tenancy.rows(second.tenantid, tables.organizations) == []


async def test_a_buyer_who_is_not_known_yet_is_waited_for(tenancy: Tenancy) -> None:
    owner = await tenancy.person()
    event = payment_confirmed(owner, user_id=str(uuid7()))
    await tenancy.receive(event)
    row = await tenancy.inbox_row(event.id)
    assert (row.status, row.attempts) == ("pending", 1)
    assert await tenancy.rows(event.tenantid, tables.organizations) == []


async def test_a_renewal_extends_and_is_applied_once_per_order(tenancy: Tenancy) -> None:
    owner = await tenancy.person()
    tenant = await tenancy.organization(owner)
    renewal = {
        "kind": "renewal",
        "order_id": uuid7(),
        "starts_at": "2026-12-22T12:00:00Z",
        "ends_at": "2027-01-22T12:00:00Z",
    }
    await tenancy.receive(payment_confirmed(owner, tenant_id=tenant, **renewal))
    await tenancy.receive(payment_confirmed(owner, tenant_id=tenant, **renewal))
    (entitlements,) = await tenancy.rows(tenant, tables.entitlements)
    assert entitlements["period_start"] == datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert entitlements["period_end"] == datetime(2027, 1, 22, 12, tzinfo=UTC)
    facts = await tenancy.facts(tenant)
    assert [(f["type"], f["aggregateversion"]) for f in facts] == [
        ("org.provisioned.v1", 1),
        ("org.particulars_changed.v1", 1),
        ("org.plan_changed.v1", 2),
    ]


async def test_a_renewal_that_overtakes_its_organization_waits(tenancy: Tenancy) -> None:
    owner = await tenancy.person()
    first = payment_confirmed(owner)
    renewal = payment_confirmed(owner, tenant_id=first.tenantid, kind="renewal", ends_at="2027-01-22T12:00:00Z")
    await tenancy.receive(renewal)
    assert (await tenancy.inbox_row(renewal.id)).status == "pending"
    await tenancy.receive(first)

    async def applied() -> bool:
        await tenancy.inbox.handle_due()
        return (await tenancy.inbox_row(renewal.id)).status == "done"

    await eventually(applied)
    assert len(await tenancy.facts(first.tenantid)) == 3


def told_of(event, *, version: int = 1, name: str = "subscription.plan_changed.v1"):
    """What billing's subscription says about the same order."""
    told = {key: event.data[key] for key in ("order_id", "billing_cycle", "plan", "period")}
    return envelope("billing", name, event.tenantid, told, version=version)


GOLD = {"name": "gold", "quotas": QUOTAS | {"max_vms": 999}, "features": {}, "retention": {}}


async def test_a_change_that_starts_later_waits_for_billing_to_say_that_it_is_time(tenancy: Tenancy) -> None:
    owner = await tenancy.person()
    tenant = await tenancy.organization(owner)
    later = {"starts_at": "2026-12-22T12:00:00Z", "ends_at": "2027-01-22T12:00:00Z"}
    change = payment_confirmed(owner, tenant_id=tenant, kind="change", plan=GOLD, **later)
    await tenancy.receive(change)
    assert [row["plan"] for row in await tenancy.rows(tenant, tables.entitlements)] == ["silver"]
    tenancy.clock.advance(timedelta(days=30))
    await tenancy.receive(told_of(change))
    (entitlements,) = await tenancy.rows(tenant, tables.entitlements)
    assert (entitlements["plan"], entitlements["quotas"]["max_vms"]) == ("gold", 999)


async def test_payment_and_subscription_tell_of_one_change_and_it_happens_once(tenancy: Tenancy) -> None:
    owner = await tenancy.person()
    tenant = await tenancy.organization(owner)
    change = payment_confirmed(owner, tenant_id=tenant, kind="change", plan=GOLD)
    await tenancy.receive(change, told_of(change, version=2))
    assert [fact["type"] for fact in await tenancy.facts(tenant)] == [*BORN, "org.plan_changed.v1"]


@pytest.mark.invariant("S49")
async def test_an_older_state_of_the_subscription_is_ignored(tenancy: Tenancy) -> None:
    owner = await tenancy.person()
    tenant = await tenancy.organization(owner)
    older = told_of(payment_confirmed(owner, tenant_id=tenant), version=2)
    newer = told_of(payment_confirmed(owner, tenant_id=tenant, plan=GOLD), version=3)
    await tenancy.receive(newer)
    await tenancy.receive(older)
    assert (await tenancy.inbox_row(older.id)).status == "done"
    assert [row["plan"] for row in await tenancy.rows(tenant, tables.entitlements)] == ["gold"]


async def test_names_of_any_alphabet_get_a_slug_of_their_own(tenancy: Tenancy) -> None:
    owner = await tenancy.person()
    name = f"株式会社 {uuid7().hex[-6:]}"
    slugs = set()
    for _ in range(3):
        tenant = await tenancy.organization(owner, customer_name=name)
        slugs |= {row["slug"] for row in await tenancy.rows(tenant, tables.organizations)}
    assert len(slugs) == 3
    assert all(slug.startswith("株式会社-") for slug in slugs)


@pytest.mark.invariant("S52")
async def test_the_tenant_comes_from_the_envelope_alone(tenancy: Tenancy) -> None:
    owner = await tenancy.person()
    victim = await tenancy.organization(owner)
    event = payment_confirmed(owner, tenant_id=uuid7(), tenantid=str(victim), organization_id=str(victim))
    await tenancy.receive(event)
    assert len(await tenancy.rows(victim, tables.applied_orders)) == 1
    assert len(await tenancy.rows(event.tenantid, tables.organizations)) == 1
    nobody = event.model_copy(update={"id": uuid7(), "tenantid": None})
    await tenancy.receive(nobody)
    assert (await tenancy.inbox_row(nobody.id)).status == "parked"


async def test_the_welcome_mail_is_in_the_owners_language_and_escaped(tenancy: Tenancy) -> None:
    owner = await tenancy.person(name="<b>Awa</b>")
    tenant = await tenancy.organization(owner, customer_name="Société Exemple")
    async with tenancy.store.for_system("mailer") as uow:
        (mail,) = (await uow.session.execute(select(mails).where(mails.c.tenant_id == tenant))).all()
    assert (mail.recipient, mail.subject, mail.language) == (owner.email, "Société Exemple est prête", "fr")
    assert "&lt;b&gt;Awa&lt;/b&gt;" in mail.body_html
    assert "22/12/2026" in mail.body_text
