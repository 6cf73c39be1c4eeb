import pytest
from devstack.bench.measuring import Sizes, in_turn, interleaved, median_ratio, most_often, percentile

pytestmark = pytest.mark.unit


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


async def test_of_three_ways_each_goes_first_in_its_turn():
    order = []

    def way(name):
        async def measured():
            order.append(name)
            return name

        return measured

    found = await in_turn([way("a"), way("b"), way("c")], rounds=4)
    assert found == [["a", "b", "c"]] * 4
    assert "".join(order) == "abcbcacababc"


def test_the_median_of_ratios_ignores_one_disturbed_pair():
    assert median_ratio([(2, 1), (2, 1), (90, 1)]) == 2


def test_a_percentile_is_a_measured_value():
    values = [float(number) for number in range(1, 201)]
    assert percentile(values, 0.99) == 198.0
    assert percentile(values, 0.5) == 100.0
    assert percentile([7.0], 0.99) == 7.0


def test_the_limiting_stage_is_the_one_that_was_named_most_often():
    assert most_often(["read", "compute", "compute"]) == "compute"


def test_the_usual_sizes_are_those_of_the_design():
    assert Sizes() == Sizes(gib=2, rows=1_000_000, purchases=200, pairs=5, requests=4_000)


def test_the_environment_changes_one_size_and_leaves_the_others(monkeypatch):
    monkeypatch.setenv("BENCH_ROWS", "5000")
    assert Sizes.of_environment(Sizes()) == Sizes(rows=5000)
