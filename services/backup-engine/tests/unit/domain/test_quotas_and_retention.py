"""Quotas, usage months, retention."""

from datetime import UTC, date, datetime, timedelta

import pytest
from backup_engine.domain.quota import Quotas, crossed, usage_month
from backup_engine.domain.retention import keep_until
from backup_engine.domain.tenant import Act, Tenant, TenantStatus
from backup_engine.errors import OrganizationBeingPrepared, OrganizationDeleted, OrganizationSuspended, QuotaReached
from common.ids import uuid7
from hypothesis import given
from hypothesis import strategies as st

MOMENTS = st.datetimes(*map(datetime.fromisoformat, ("2024-01-01", "2032-01-01")), timezones=st.just(UTC))


def test_a_quotas_text_is_the_guides() -> None:
    reached = QuotaReached(resource="esxi_servers", limit=2, current=2)
    assert reached.text("fr") == "Limite de 2 serveur(s) ESXi atteinte. Veuillez mettre à niveau votre plan."
    assert reached.text("en") == "Limit of 2 ESXi server(s) reached. Please upgrade your plan."
    assert reached.fields == {"resource": "esxi_servers", "limit": 2, "current": 2}


@pytest.mark.parametrize(
    ("now", "anchor", "start"),
    [
        ("2026-11-22T12:00:00+00:00", "2026-01-22T00:00:00+00:00", date(2026, 11, 22)),
        ("2026-11-21T23:59:59+00:00", "2026-01-22T00:00:00+00:00", date(2026, 10, 22)),
        ("2026-02-28T00:00:00+00:00", "2026-01-31T00:00:00+00:00", date(2026, 2, 28)),
        ("2026-03-30T00:00:00+00:00", "2026-01-31T00:00:00+00:00", date(2026, 2, 28)),
        ("2026-01-05T00:00:00+00:00", "2025-06-15T00:00:00+00:00", date(2025, 12, 15)),
    ],
)
def test_a_usage_month_begins_on_the_anchor_day(now: str, anchor: str, start: date) -> None:
    assert usage_month(datetime.fromisoformat(now), datetime.fromisoformat(anchor)) == start


@given(now=MOMENTS, anchor=MOMENTS)
def test_a_moment_lies_within_its_usage_month_and_months_do_not_overlap(now: datetime, anchor: datetime) -> None:
    start = usage_month(now, anchor)
    assert timedelta(0) <= now.date() - start < timedelta(days=32)
    assert usage_month(datetime(start.year, start.month, start.day, tzinfo=UTC), anchor) == start


@pytest.mark.invariant("D54", "D70")
def test_a_point_is_kept_from_the_servers_commit_time_for_the_plans_days_at_most() -> None:
    at = datetime(2026, 11, 22, tzinfo=UTC)
    assert keep_until(at, 60) == at + timedelta(days=60)
    assert keep_until(at, 60, 7) == at + timedelta(days=7)
    assert keep_until(at, 60, 365) == at + timedelta(days=60)


def test_a_limit_that_comes_near_is_told_once() -> None:
    assert [crossed(n, n + 1, 10, 90) for n in range(10)] == [False] * 8 + [True, False]


@pytest.mark.parametrize("status", [TenantStatus.SUSPENDED, TenantStatus.CANCELLED, TenantStatus.EXPIRED])
def test_without_a_paid_subscription_reading_and_restoring_go_on(status: TenantStatus) -> None:
    tenant = Tenant(uuid7(), status, Quotas({}), 30)
    tenant.allow(Act.READ)
    tenant.allow(Act.RESTORE)
    with pytest.raises(OrganizationSuspended):
        tenant.allow(Act.CHANGE)


@pytest.mark.parametrize(
    ("status", "refusal"),
    [(TenantStatus.PENDING, OrganizationBeingPrepared), (TenantStatus.DELETED, OrganizationDeleted)],
)
@pytest.mark.parametrize("act", Act)
def test_before_it_is_there_and_once_it_is_deleted_an_organization_does_nothing(
    status: TenantStatus, refusal: type[Exception], act: Act
) -> None:
    with pytest.raises(refusal):
        Tenant(uuid7(), status, Quotas({}), 30).allow(act)
