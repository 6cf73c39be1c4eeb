"""Warnings about limits, once, and the months before this one."""

from datetime import timedelta

import pytest
from tenancy.domain.people import Language
from tenancy.testing import Tenancy, envelope

pytestmark = pytest.mark.integration

NEAR = {"resource": "storage", "limit": 500 * 10**9, "used": 451 * 10**9, "unit": "bytes", "a_later_field": 1}


async def test_a_limit_that_comes_near_is_written_about_once_a_month(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    other, _ = await tenancy.owned()
    for _ in range(2):
        await tenancy.receive(envelope("backup-engine", "quota.nearing.v1", tenant, NEAR))
    (_, mail) = await tenancy.mails_to(owner.email)
    assert mail.subject == "Société Exemple : 451,0 Go sur 500,0 Go (espace de stockage)"
    tenancy.clock.advance(timedelta(days=31))
    await tenancy.receive(envelope("backup-engine", "quota.nearing.v1", tenant, NEAR))
    assert len(await tenancy.mails_to(owner.email)) == 3
    assert len(await tenancy.mails_to(other.email)) == 1


async def test_a_limit_that_stopped_something_is_told_in_the_owners_language(tenancy: Tenancy) -> None:
    owner = await tenancy.person(language=Language.EN)
    tenant = await tenancy.organization(owner)
    hit = {"resource": "vms", "limit": 50, "current": 50}
    await tenancy.receive(envelope("backup-engine", "quota.reached.v1", tenant, hit))
    mail = (await tenancy.mails_to(owner.email))[-1]
    assert mail.subject == "Société Exemple: the limit of 50 is reached (protected virtual machines)"


async def test_the_months_before_are_listed_newest_first(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    stranger, theirs = await tenancy.owned()
    for vms, moment in ((3, "2026-11-23T00:00:00Z"), (5, "2026-12-23T00:00:00Z"), (7, "2027-01-23T00:00:00Z")):
        report = {"vms_count": vms, "measured_at": moment}
        await tenancy.receive(envelope("backup-engine", "usage.recorded.v1", tenant, report))
    me = tenancy.client(user_id=owner.id, tenant_id=tenant)
    path = f"/api/tenants/organizations/{tenant}/usage/history/"
    first = (await me.get(path, params={"limit": 2})).json()
    rest = (await me.get(path, params={"limit": 2, "cursor": first["next"]})).json()
    shown = [(month["period_start"], month["vms_count"]) for month in first["results"] + rest["results"]]
    assert shown == [("2027-01-22", 7), ("2026-12-22", 5), ("2026-11-22", 3)]
    assert rest["next"] is None
    assert (await me.get(path, params={"cursor": "WzFd"})).json()["code"] == "invalid_cursor"
    as_stranger = tenancy.client(user_id=stranger.id, tenant_id=theirs)
    assert (await as_stranger.get(path)).status_code == 404
