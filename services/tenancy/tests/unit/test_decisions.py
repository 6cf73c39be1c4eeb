"""Decisions of the domain: slugs, usage months, rotation, periods, passwords, codes, roles."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pyotp
import pytest
from common.ids import uuid7
from hypothesis import given
from hypothesis import strategies as st
from tenancy.domain.membership import Membership, active_of
from tenancy.domain.organization import TRANSITIONS, Entitlements, Organization, Status
from tenancy.domain.passwords import weakness
from tenancy.domain.people import normalized_email
from tenancy.domain.roles import Role, may_grant
from tenancy.domain.sessions import Device, Exchange, RefreshToken, Session, exchange
from tenancy.domain.slug import LONGEST, candidates, slugify
from tenancy.domain.totp import matching_step
from tenancy.domain.usage import Usage, UsageMonth

pytestmark = pytest.mark.unit
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
GRACE = timedelta(seconds=10)


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Société Générale d'Études", "societe-generale-d-etudes"),
        ("ООО «Ромашка» 24", "ооо-ромашка-24"),
        ("株式会社テスト", "株式会社テスト"),
        ("شركة المثال", "شركة-المثال"),
        ("🚀🚀", "organisation"),
        ("  A--B  ", "a-b"),
    ],
)
def test_a_slug_keeps_the_letters_of_any_alphabet(name: str, slug: str) -> None:
    assert slugify(name) == slug


@given(st.text(max_size=200))
def test_every_name_has_slugs_that_fit_and_differ(name: str) -> None:
    tried = list(candidates(name, uuid7()))
    assert len(set(tried)) == len(tried)
    assert all(0 < len(slug) <= LONGEST and not slug.startswith("-") and " " not in slug for slug in tried)


@pytest.mark.parametrize(
    ("anchor", "moment", "start", "end"),
    [
        (date(2026, 1, 31), datetime(2026, 2, 15, tzinfo=UTC), date(2026, 1, 31), date(2026, 2, 28)),
        (date(2026, 1, 31), datetime(2026, 2, 28, tzinfo=UTC), date(2026, 2, 28), date(2026, 3, 31)),
        (date(2026, 11, 22), datetime(2026, 11, 22, tzinfo=UTC), date(2026, 11, 22), date(2026, 12, 22)),
        (date(2026, 11, 22), datetime(2027, 1, 3, tzinfo=UTC), date(2026, 12, 22), date(2027, 1, 22)),
        (date(2026, 11, 22), datetime(2026, 11, 1, tzinfo=UTC), date(2026, 11, 22), date(2026, 12, 22)),
    ],
)
def test_usage_months_keep_the_anchor_day(anchor: date, moment: datetime, start: date, end: date) -> None:
    assert UsageMonth.at(anchor, moment) == UsageMonth(start, end)


@given(st.dates(date(2020, 1, 1), date(2030, 1, 1)), st.integers(0, 2000))
def test_a_moment_lies_within_its_usage_month(anchor: date, days: int) -> None:
    moment = datetime.combine(anchor, datetime.min.time(), UTC) + timedelta(days=days)
    month = UsageMonth.at(anchor, moment)
    assert month.start <= moment.date() < month.end
    assert UsageMonth.at(anchor, datetime.combine(month.end, datetime.min.time(), UTC)).start == month.end


def test_a_late_report_changes_only_figures_that_no_newer_one_named() -> None:
    usage = Usage(UsageMonth.at(date(2026, 11, 22), NOW)).reported({"vms_count": 4}, NOW)
    later = usage.reported({"vms_count": 3, "backups_count": 9}, NOW - timedelta(hours=1))
    assert (later.vms_count, later.backups_count) == (4, 9)
    assert later.reported({"backups_count": 10}, NOW).backups_count == 10
    with pytest.raises(ValueError, match="month"):
        usage.reported({"month": 1}, NOW)


FIREFOX = Device("Firefox", "192.0.2.1")


def token(*, used: datetime | None = None, expires: datetime = NOW + timedelta(days=1)) -> tuple[RefreshToken, Session]:
    session = Session(uuid7(), uuid7(), None, NOW, NOW + timedelta(days=30), FIREFOX, NOW)
    return RefreshToken(uuid7(), session.id, session.user_id, expires, used), session


def test_a_refresh_token_is_judged_by_its_use_age_and_session() -> None:
    fresh, session = token()
    late = NOW - GRACE - timedelta(milliseconds=1)
    assert exchange(fresh, session, FIREFOX, NOW, GRACE) is Exchange.ROTATE
    assert exchange(token(used=NOW - GRACE)[0], session, FIREFOX, NOW, GRACE) is Exchange.ROTATE
    assert exchange(token(used=late)[0], session, FIREFOX, NOW, GRACE) is Exchange.REVOKE
    assert exchange(token(expires=NOW)[0], session, FIREFOX, NOW, GRACE) is Exchange.REFUSE
    ended = replace(session, revoked_at=NOW)
    assert exchange(fresh, ended, FIREFOX, NOW, GRACE) is Exchange.REFUSE


def test_another_client_has_no_grace_but_a_changed_address_does_not_matter() -> None:
    used, session = token(used=NOW)
    assert exchange(used, session, Device("Firefox", "198.51.100.7"), NOW, GRACE) is Exchange.ROTATE
    assert exchange(used, session, Device("curl", FIREFOX.address), NOW, GRACE) is Exchange.REVOKE
    assert exchange(token()[0], session, Device("Firefox 200", ""), NOW, GRACE) is Exchange.ROTATE


def bought(plan: str, start: datetime, days: int) -> Entitlements:
    return Entitlements(plan, "monthly", {}, {}, {}, start, start + timedelta(days=days))


def organization(entitlements: Entitlements) -> Organization:
    ids = uuid7(), uuid7(), uuid7()
    return Organization(
        ids[0], "A", "a", Status.EXPIRED, ids[1], "a@b.cm", "default", ids[2], NOW, entitlements, 1, NOW
    )


@pytest.mark.invariant("S25")
def test_an_older_order_of_the_same_plan_never_shortens_the_period() -> None:
    before = organization(bought("silver", NOW, 60))
    after = before.granted(bought("silver", NOW, 30))
    assert after.entitlements.period_end == NOW + timedelta(days=60)
    assert (after.version, after.status) == (2, Status.EXPIRED)


def test_a_status_moves_only_where_its_transitions_lead() -> None:
    expired = organization(bought("silver", NOW, 60))
    assert expired.moved(Status.SUSPENDED) == expired.moved(Status.EXPIRED) == expired
    active = expired.moved(Status.ACTIVE)
    assert (active.status, active.version) == (Status.ACTIVE, 2)


def test_another_plan_replaces_what_was_in_force() -> None:
    after = organization(bought("gold", NOW, 60)).granted(bought("bronze", NOW, 30))
    assert (after.entitlements.plan, after.entitlements.period_end) == ("bronze", NOW + timedelta(days=30))


def test_every_status_has_its_transitions_and_none_leads_to_itself() -> None:
    assert TRANSITIONS.keys() == set(Status)
    assert all(status not in reachable for status, reachable in TRANSITIONS.items())


def test_the_active_organization_is_the_preferred_else_the_only_one() -> None:
    first, second = (Membership(uuid7(), uuid7(), Role.OWNER, "", "", NOW) for _ in range(2))
    assert active_of([]) is None
    assert active_of([first], None, uuid7()) == first
    assert active_of([first, second], None, None) is None
    assert active_of([first, second], uuid7(), second.tenant_id) == second


@pytest.mark.invariant("S60")
def test_only_owners_grant_owner_and_only_owners_and_admins_grant_at_all() -> None:
    assert {(a, b) for a in Role for b in Role if may_grant(a, b)} == {
        *((Role.OWNER, role) for role in Role),
        *((Role.ADMIN, role) for role in Role if role is not Role.OWNER),
    }


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("123456789", "too_short"),
        ("Password123", "common"),
        ("ａzertyuiop", "common"),
        ("awandiaye@exemple.cm", "like_email"),
        ("un cheval sur le toit", None),
    ],
)
def test_passwords_are_refused_for_a_reason(password: str, reason: str | None) -> None:
    assert weakness(password, "awandiaye@exemple.cm") == reason


@pytest.mark.invariant("S58")
def test_a_code_matches_its_step_once_with_a_step_of_drift() -> None:
    secret = pyotp.random_base32()
    code, step = pyotp.TOTP(secret).at(NOW), int(NOW.timestamp()) // 30
    assert matching_step(secret, code, NOW, None) == step
    assert matching_step(secret, code, NOW + timedelta(seconds=30), step - 1) == step
    assert matching_step(secret, code, NOW, step) is None
    assert matching_step(secret, code, NOW + timedelta(seconds=90), None) is None


def test_addresses_are_found_in_one_spelling() -> None:
    assert normalized_email("  Awa.Ndiaye@Exemple.CM ") == "awa.ndiaye@exemple.cm"
    assert normalized_email("nobody") is None
