import re
from importlib import import_module

import pytest
from devstack.bench.figures import GROUPS, MEASUREMENTS, PURCHASES_WRONG, RLS_SCAN_RATIO, Measurement, wanted
from devstack.bench.measuring import Sizes
from devstack.servers.places import checkout

pytestmark = pytest.mark.unit

BARS = [bar for measurement in MEASUREMENTS for bar in measurement.bars]
OPS = {"≥": ">=", "≤": "<=", "=": "="}


def of_design():
    """Name → (group, operator, bar) as docs/design.md §10 has them."""
    group, found = "", {}
    for line in (checkout() / "docs" / "design.md").read_text().splitlines():
        row = re.match(r"\| ([a-z-]*) *\| `(\w+)` \| ([≥≤=]) ([\d.]+) \|", line)
        if row:
            group = row[1] or group
            found[row[2]] = (group, OPS[row[3]], float(row[4]))
    return found


def test_names_groups_and_bars_are_those_of_the_design():
    design = of_design()
    assert len(design) == 23
    assert {bar.name: (bar.group, bar.op, float(bar.bar)) for bar in BARS}.items() <= design.items()


def test_two_bars_hold_now():
    assert [bar for bar in BARS if bar.holds_now] == [PURCHASES_WRONG, RLS_SCAN_RATIO]


def test_no_figure_is_measured_twice():
    assert len({bar.name for bar in BARS}) == len(BARS)


@pytest.mark.parametrize("measurement", MEASUREMENTS, ids=lambda one: one.module)
def test_each_measurement_has_a_module_that_measures_one_group(measurement):
    assert callable(import_module(f"devstack.bench.{measurement.module}").measure)
    assert len({bar.group for bar in measurement.bars}) == 1


def test_a_group_is_measured_by_its_own_and_without_one_all_are():
    assert [one.module for one in wanted("data-plane")] == ["data_plane", "runner_peak"]
    assert [one.module for one in MEASUREMENTS if one not in wanted(None)] == ["purchases"]
    assert [one.module for one in wanted("purchases")] == ["purchases"]
    assert GROUPS == ("data-plane", "billing", "purchases", "gateway", "tenancy")


def test_what_was_not_found_is_told_with_the_reason():
    measurement = Measurement("tenancy", 1, (RLS_SCAN_RATIO, PURCHASES_WRONG))
    found, lost = measurement.complete([RLS_SCAN_RATIO], "it took longer than 1 s")
    assert found is RLS_SCAN_RATIO
    assert (lost.name, lost.value) == ("purchases_wrong", None)
    assert "longer than 1 s" in lost.peer


def test_quick_sizes_are_smaller_than_the_usual_ones():
    quick, usual = Sizes.quick(), Sizes()
    assert all(getattr(quick, name) < getattr(usual, name) for name in Sizes.__slots__)
