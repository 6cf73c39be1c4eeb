"""Warnings about limits, once, and the months before this one."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from tenancy.domain.people import Language
from tenancy.persistence import tables
from tenancy.testing import QUOTAS, Tenancy, envelope, payment_confirmed

pytestmark = pytest.mark.integration

NEAR = {"resource": "storage_gb", "limit": 500 * 10**9, "used": 451 * 10**9, "unit": "bytes", "a_later_field": 1}


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


FULL = {"esxi_servers_count": 2, "vms_count": 30, "backups_count": 40, "storage_bytes": 100 * 10**9}


def counted_anew(tenant: UUID, moment: str = "2026-11-23T06:00:00Z", **figures: int) -> Any:
    """Backup-engine's report after it counted everything anew."""
    data = FULL | figures | {"measured_at": moment, "reconciled": True}
    return envelope("backup-engine", "usage.recorded.v1", tenant, data)


async def test_figures_that_drifted_are_those_that_were_counted_and_nobody_elses_change(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    _, other = await tenancy.owned()
    drifted = {"vms_count": 49, "measured_at": "2026-11-23T05:00:00Z"}
    for one in (tenant, other):
        await tenancy.receive(envelope("backup-engine", "usage.recorded.v1", one, drifted))
    await tenancy.receive(counted_anew(tenant))
    (row,) = await tenancy.rows(tenant, tables.usage_metrics)
    assert {name: row[name] for name in FULL} == FULL
    assert row["users_count"] == 1
    (theirs,) = await tenancy.rows(other, tables.usage_metrics)
    assert theirs["vms_count"] == 49
    assert [mail.key.split(":")[0] for mail in await tenancy.mails_to(owner.email)] == ["welcome"]


async def test_a_late_report_of_a_month_that_is_over_leaves_the_members_that_it_had(tenancy: Tenancy) -> None:
    _, tenant = await tenancy.owned()
    async with tenancy.store.for_tenant(tenant) as uow:
        await uow.session.execute(tables.usage_metrics.update().values(users_count=9))
    moment = tenancy.clock.now().isoformat()
    tenancy.clock.advance(timedelta(days=40))
    await tenancy.receive(counted_anew(tenant, moment, vms_count=7))
    (row,) = await tenancy.rows(tenant, tables.usage_metrics)
    assert (row["vms_count"], row["users_count"]) == (7, 9)


async def test_members_are_counted_anew_too(tenancy: Tenancy) -> None:
    _, tenant = await tenancy.owned()
    async with tenancy.store.for_tenant(tenant) as uow:
        await uow.session.execute(tables.usage_metrics.update().values(users_count=9))
    await tenancy.receive(counted_anew(tenant))
    (row,) = await tenancy.rows(tenant, tables.usage_metrics)
    assert row["users_count"] == 1


async def test_a_limit_near_which_nobody_came_by_a_change_is_written_about_once(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    near = {"resource": "vms", "limit": 50, "used": 45, "unit": "count"}
    await tenancy.receive(counted_anew(tenant, vms_count=45))
    await tenancy.receive(envelope("backup-engine", "quota.nearing.v1", tenant, near))
    await tenancy.receive(counted_anew(tenant, "2026-11-23T12:00:00Z", vms_count=46))
    (_, mail) = await tenancy.mails_to(owner.email)
    assert mail.subject == "Société Exemple : 45 sur 50 (machines virtuelles protégées)"


@pytest.mark.invariant("S38")
async def test_a_smaller_plan_says_what_it_leaves_too_much_of(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    stranger, theirs = await tenancy.owned()
    for one in (tenant, theirs):
        await tenancy.receive(counted_anew(one))
    bronze = QUOTAS | {"max_esxi_servers": 1, "max_vms": 10, "max_storage_gb": 100}
    plan = {"name": "bronze", "quotas": bronze, "features": {}, "retention": {"backup_retention_days": 30}}
    smaller = payment_confirmed(owner, tenant_id=tenant, kind="change", plan=plan)
    for _ in range(2):
        await tenancy.receive(smaller)
    await tenancy.receive(counted_anew(tenant, "2026-11-23T12:00:00Z"))
    path = f"/api/tenants/organizations/{tenant}/usage/"
    usage = (await tenancy.client(user_id=owner.id, tenant_id=tenant).get(path)).json()
    assert usage["over_quota"] == [
        {"resource": "esxi_servers", "limit": 1, "current": 2, "over": 1},
        {"resource": "vms", "limit": 10, "current": 30, "over": 20},
    ]
    passed = [mail for mail in await tenancy.mails_to(owner.email) if mail.key.startswith("quota_passed")]
    (mail,) = passed
    assert mail.subject == "Société Exemple : plus que ne permet le forfait Bronze"
    assert "- machines virtuelles protégées : 30 utilisés, 10 permis, 20 de trop" in mail.body_text
    assert [mail.key.split(":")[0] for mail in await tenancy.mails_to(stranger.email)] == ["welcome"]


@pytest.mark.parametrize("by", ["staff", "renewal"])
async def test_quotas_that_staff_or_a_renewal_lowers_say_what_is_near_and_what_is_passed(
    tenancy: Tenancy, by: str
) -> None:
    owner, tenant = await tenancy.owned()
    stranger, theirs = await tenancy.owned()
    for one in (tenant, theirs):
        await tenancy.receive(counted_anew(one))
    lower = {"max_esxi_servers": 1, "max_vms": 32}
    for _ in range(2):
        if by == "staff":
            desk = tenancy.client(staff=["admin"])
            path = f"/api/admin/organizations/{tenant}/entitlements/"
            assert (await desk.patch(path, json={"reason": "pilot is over", "quotas": lower})).status_code == 200
        else:
            plan = {
                "name": "silver",
                "quotas": QUOTAS | lower,
                "features": {},
                "retention": {"backup_retention_days": 60},
            }
            period = {"starts_at": "2026-12-22T12:00:00Z", "ends_at": "2027-01-22T12:00:00Z"}
            await tenancy.receive(payment_confirmed(owner, tenant_id=tenant, kind="renewal", plan=plan, **period))
    kinds = [":".join(mail.key.split(":")[:2]) for mail in await tenancy.mails_to(owner.email)][1:]
    near = [kind for kind in kinds if kind.startswith("quota_nearing")]
    assert near == ["quota_nearing:vms"]
    (mail,) = [mail for mail in await tenancy.mails_to(owner.email) if mail.key.startswith("quota_passed")]
    assert "- serveurs ESXi : 2 utilisés, 1 permis, 1 de trop" in mail.body_text
    assert [mail.key.split(":")[0] for mail in await tenancy.mails_to(stranger.email)] == ["welcome"]


async def test_what_staff_changes_besides_quotas_writes_of_no_limit(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    await tenancy.receive(counted_anew(tenant))
    wanted = {"reason": "pilot", "features": {"has_api_access": True}, "quotas": {"max_vms": 100}}
    path = f"/api/admin/organizations/{tenant}/entitlements/"
    assert (await tenancy.client(staff=["admin"]).patch(path, json=wanted)).status_code == 200
    assert [mail.key.split(":")[0] for mail in await tenancy.mails_to(owner.email)] == ["welcome"]


async def test_a_month_that_began_unreported_keeps_what_stays_when_a_member_leaves_or_a_part_is_told(
    tenancy: Tenancy,
) -> None:
    _, tenant = await tenancy.owned()
    await tenancy.receive(counted_anew(tenant))
    part = {"backups_count": 1, "measured_at": "2026-12-23T05:00:00Z"}
    await tenancy.receive(envelope("backup-engine", "usage.recorded.v1", tenant, part))
    rows = await tenancy.rows(tenant, tables.usage_metrics)
    running = max(rows, key=lambda row: row["period_start"])
    assert (running["vms_count"], running["backups_count"]) == (30, 1)


async def test_a_full_storage_is_told_in_gigabytes(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    hit = {"resource": "storage_gb", "limit": 500, "current": 501}
    await tenancy.receive(envelope("backup-engine", "quota.reached.v1", tenant, hit))
    mail = (await tenancy.mails_to(owner.email))[-1]
    assert mail.subject == "Société Exemple : limite de 500,0 Go atteinte (espace de stockage)"
