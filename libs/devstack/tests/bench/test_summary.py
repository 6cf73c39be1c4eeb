from dataclasses import replace

import pytest
from devstack.bench.report import Bar, missing
from devstack.bench.summary import counts, failures, table

pytestmark = pytest.mark.unit

HELD = Bar("rls_scan_ratio", "tenancy", 1.04, "x", "<=", 1.1, "superuser", "all rows", "one 1.01", holds_now=True)
MISSED = Bar("full_vs_limit", "data-plane", 0.61234567, "x", ">=", 0.7, "compute", "read")
COUNTED = Bar("purchases_wrong", "billing", 2, "purchases", "=", 0, "200 at once", holds_now=True)


def test_the_table_tells_value_bar_verdict_and_limit():
    lines = table([HELD, MISSED], {}).splitlines()
    assert lines[1].split() == ["tenancy", "rls_scan_ratio", "1.04", "x", "<=", "1.1", "holds", "all", "rows"]
    assert "MISSED" in lines[2]


def test_below_the_table_are_peers_and_the_numbers_behind():
    assert "rls_scan_ratio: superuser; one 1.01" in table([HELD], {}).splitlines()


def test_the_table_tells_how_far_a_value_is_from_the_committed_one():
    line = table([HELD], {"rls_scan_ratio": 1.3}).splitlines()[1]
    assert "1.3 (-20%)" in line


def test_a_change_from_zero_is_told_as_a_difference():
    assert "0 (+2)" in table([COUNTED], {"purchases_wrong": 0})


def test_a_value_that_is_missing_now_still_shows_the_committed_one():
    line = table([missing(HELD, "no peer")], {"rls_scan_ratio": 1.3}).splitlines()[1]
    assert line.split()[2:] == ["null", "<=", "1.1", "not", "measured", "1.3"]


def test_the_summary_counts_what_holds_is_missed_and_has_no_value():
    assert counts([HELD, MISSED, missing(MISSED, "x"), HELD]) == "2 hold, 1 missed, 1 not measured"


def test_a_missed_bar_is_a_finding_and_no_failure():
    assert failures([HELD, MISSED], []) == []


def test_a_missed_bar_that_holds_now_is_a_failure():
    assert failures([COUNTED], []) == ["purchases_wrong is 2 and has to be = 0"]
    assert failures([replace(HELD, value=1.2)], []) == ["rls_scan_ratio is 1.2 and has to be <= 1.1"]


def test_a_missing_peer_is_no_failure_and_a_broken_measurement_is():
    assert failures([missing(HELD, "no peer")], []) == []
    assert failures([missing(HELD, "it broke")], ["tenancy"]) == ["tenancy could not be measured"]
