"""An organization follows its subscription, whatever the order in which billing's facts arrive."""

import itertools
from typing import Any
from uuid import UUID

import pytest
from common.ids import uuid7
from common.messaging import Envelope
from tenancy.persistence import tables
from tenancy.testing import Tenancy, envelope, payment_confirmed

pytestmark = pytest.mark.integration

RENEWED = {"starts_at": "2026-12-22T12:00:00Z", "ends_at": "2027-01-22T12:00:00Z"}


def standing(tenant: UUID, name: str, version: int, reason: str | None = "unpaid") -> Envelope:
    """What billing says of a subscription that is not paid."""
    data = {"order_id": str(uuid7()), "reason": reason, "status": name, "a_later_field": 1}
    return envelope("billing", f"subscription.{name}.v1", tenant, data, version=version)


def renewed(paid: Envelope, version: int) -> Envelope:
    told = {key: paid.data[key] for key in ("order_id", "billing_cycle", "plan", "period")}
    return envelope("billing", "subscription.renewed.v1", paid.tenantid, told, version=version)


async def status(tenancy: Tenancy, tenant: UUID) -> str:
    (organization,) = await tenancy.rows(tenant, tables.organizations)
    return str(organization["status"])


async def told(tenancy: Tenancy, tenant: UUID) -> list[tuple[str, str]]:
    return [(fact["type"].removesuffix(".v1"), fact["data"]["status"]) for fact in (await tenancy.facts(tenant))[2:]]


async def test_a_subscription_that_is_suspended_and_ends_takes_its_organization_along(tenancy: Tenancy) -> None:
    owner = await tenancy.person()
    tenant, other = await tenancy.organization(owner), await tenancy.organization(await tenancy.person())
    await tenancy.receive(standing(tenant, "suspended", 5))
    assert await status(tenancy, tenant) == "suspended"
    await tenancy.receive(standing(tenant, "ended", 6), standing(tenant, "ended", 6))
    assert await told(tenancy, tenant) == [("org.suspended", "suspended"), ("org.expired", "expired")]
    versions = [fact["aggregateversion"] for fact in await tenancy.facts(tenant)]
    assert versions == [1, 1, 2, 3]
    assert await status(tenancy, other) == "active"
    assert [mail.subject for mail in await tenancy.mails_to(owner.email)][1:] == [
        "Société Exemple est suspendue",
        "L'abonnement de Société Exemple est terminé",
    ]


@pytest.mark.parametrize(("reason", "pays"), [("unpaid", True), ("dispute", False)])
async def test_only_who_is_suspended_for_want_of_payment_is_told_to_pay(
    tenancy: Tenancy, reason: str, pays: bool
) -> None:
    owner = await tenancy.person()
    tenant = await tenancy.organization(owner)
    await tenancy.receive(standing(tenant, "suspended", 5, reason))
    letter = (await tenancy.mails_to(owner.email))[-1]
    for text in (letter.body_text, letter.body_html):
        assert ("Un paiement la réactive aussitôt" in text) is pays
        assert ("Un autre paiement ne la réactive pas" in text) is not pays


async def test_an_organization_whose_owner_cancelled_is_cancelled_not_expired(tenancy: Tenancy) -> None:
    owner = await tenancy.person()
    tenant = await tenancy.organization(owner)
    await tenancy.receive(standing(tenant, "ended", 2, "cancelled"))
    assert await told(tenancy, tenant) == [("org.expired", "cancelled")]
    assert "Comme vous l'avez demandé" in (await tenancy.mails_to(owner.email))[-1].body_text


@pytest.mark.parametrize("before", ["suspended", "ended"])
@pytest.mark.parametrize("payment_first", [True, False])
async def test_a_paid_renewal_makes_it_active_again_once(tenancy: Tenancy, before: str, payment_first: bool) -> None:
    owner = await tenancy.person()
    tenant = await tenancy.organization(owner)
    await tenancy.receive(standing(tenant, before, 5))
    paid = payment_confirmed(owner, tenant_id=tenant, kind="renewal", **RENEWED)
    facts = [paid, renewed(paid, 6)] if payment_first else [renewed(paid, 6), paid]
    for fact in facts:
        await tenancy.receive(fact)
    await tenancy.receive(renewed(paid, 6))
    assert await status(tenancy, tenant) == "active"
    assert [fact for fact in await told(tenancy, tenant) if fact[0] == "org.reactivated"] == [
        ("org.reactivated", "active")
    ]
    (entitlements,) = await tenancy.rows(tenant, tables.entitlements)
    assert entitlements["period_end"].isoformat() == "2027-01-22T12:00:00+00:00"
    assert (await tenancy.facts(tenant))[-1]["data"]["subscription_end"] == "2027-01-22T12:00:00Z"
    assert [mail.subject for mail in await tenancy.mails_to(owner.email)][-1] == "Société Exemple est de nouveau active"


@pytest.mark.invariant("S49")
@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
async def test_the_last_state_of_a_subscription_holds_in_whatever_order_it_is_told(
    tenancy: Tenancy, order: tuple[int, ...]
) -> None:
    owner = await tenancy.person()
    tenant = await tenancy.organization(owner)
    paid = payment_confirmed(owner, tenant_id=tenant, kind="renewal", **RENEWED)
    # Suspended, paid (told twice over), and suspended again later.
    facts: list[Any] = [standing(tenant, "suspended", 3), paid, renewed(paid, 4), standing(tenant, "suspended", 7)]
    for index in order:
        await tenancy.receive(facts[index])
    assert await status(tenancy, tenant) == "suspended"
    assert (await tenancy.facts(tenant))[-1]["data"]["status"] == "suspended"


async def test_a_suspension_that_overtakes_its_organization_waits(tenancy: Tenancy) -> None:
    early = standing(uuid7(), "suspended", 5)
    await tenancy.receive(early)
    assert (await tenancy.inbox_row(early.id)).status == "pending"


def shortened(tenant: UUID, ends_at: str, version: int) -> Envelope:
    data = {"order_id": str(uuid7()), "ends_at": ends_at, "status": "active", "a_later_field": 1}
    return envelope("billing", "subscription.shortened.v1", tenant, data, version=version)


async def test_a_refunded_period_ends_the_paid_time_earlier_and_never_later(tenancy: Tenancy) -> None:
    tenant, other = (
        await tenancy.organization(await tenancy.person()),
        await tenancy.organization(await tenancy.person()),
    )
    before = (await tenancy.rows(other, tables.entitlements))[0]["period_end"]
    (entitlements,) = await tenancy.rows(tenant, tables.entitlements)
    earlier = entitlements["period_end"].replace(day=1).isoformat()
    fact = shortened(tenant, earlier, 6)
    await tenancy.receive(fact, fact, shortened(tenant, "2020-01-01T00:00:00Z", 5))
    (entitlements,) = await tenancy.rows(tenant, tables.entitlements)
    assert entitlements["period_end"].isoformat() == earlier
    assert await told(tenancy, tenant) == [("org.plan_changed", "active")]
    await tenancy.receive(shortened(tenant, "2999-01-01T00:00:00Z", 7))
    assert (await tenancy.rows(tenant, tables.entitlements))[0]["period_end"].isoformat() == earlier
    assert (await tenancy.rows(other, tables.entitlements))[0]["period_end"] == before
