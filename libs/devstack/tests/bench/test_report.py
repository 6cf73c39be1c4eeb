import json

import pytest
from devstack.bench.measuring import interleaved, median_ratio, percentile
from devstack.bench.report import Bar, document, missing, table, write

pytestmark = pytest.mark.unit

HELD = Bar("rls_scan_ratio", "tenancy", 1.04, "x", "<=", 1.1, "superuser", "all rows", note="one 1.01, all 1.04")
MISSED = Bar("full_vs_limit", "data-plane", 0.61234567, "x", ">=", 0.7, "compute", "read")


def test_the_document_has_the_shape_of_the_design(tmp_path):
    path = tmp_path / "bench" / "latest.json"
    write(path, document([HELD, MISSED], "abc", {"cpus": 2}))
    found = json.loads(path.read_text())
    assert set(found) == {"commit", "machine", "bars"}
    keys = {"name", "group", "value", "unit", "op", "bar", "peer", "limiting_stage"}
    assert [set(bar) for bar in found["bars"]] == [keys, keys]
    assert found["bars"][1]["value"] == 0.6123
    assert list(path.parent.iterdir()) == [path]


def test_a_bar_whose_peer_is_missing_is_null_and_neither_holds_nor_is_missed():
    absent = missing(MISSED, "no restic on PATH")
    assert absent.value is None
    assert absent.holds is None
    entry = json.loads(json.dumps(absent.entry()))
    assert entry["value"] is None
    assert entry["limiting_stage"] is None
    assert entry["name"] == "full_vs_limit"
    assert "no restic on PATH" in table([HELD, absent])
    assert "not measured" in table([absent])


@pytest.mark.parametrize(
    ("op", "value", "holds"),
    [(">=", 3, True), (">=", 2.99, False), ("<=", 3, True), ("<=", 3.01, False), ("=", 3, True), ("=", 4, False)],
)
def test_a_bar_holds_as_its_operator_says(op, value, holds):
    assert Bar("name", "group", value, "x", op, 3, "peer").holds is holds


def test_the_table_tells_value_bar_verdict_limit_and_the_numbers_behind():
    lines = table([HELD, MISSED]).splitlines()
    assert lines[1].split() == ["tenancy", "rls_scan_ratio", "1.04", "x", "<=", "1.1", "holds", "all", "rows"]
    assert "MISSED" in lines[2]
    assert "rls_scan_ratio: superuser; one 1.01, all 1.04" in lines


async def test_pairs_are_interleaved_and_the_one_that_goes_first_changes():
    order = []

    async def ours():
        order.append("ours")
        return 2.0

    async def peer():
        order.append("peer")
        return 1.0

    pairs = await interleaved(ours, peer, pairs=3)
    assert pairs == [(2.0, 1.0)] * 3
    assert order == ["ours", "peer", "peer", "ours", "ours", "peer"]


def test_the_median_of_ratios_ignores_one_disturbed_pair():
    assert median_ratio([(2, 1), (2, 1), (90, 1)]) == 2


def test_a_percentile_is_a_measured_value():
    values = [float(number) for number in range(1, 201)]
    assert percentile(values, 0.99) == 198.0
    assert percentile(values, 0.5) == 100.0
    assert percentile([7.0], 0.99) == 7.0
