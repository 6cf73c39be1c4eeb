"""What the gateway's figures say of the three ways, and that they come of answers of a running stack."""

import pytest
from devstack.bench import gateway, gateway_static, peers
from devstack.bench.gateway import added, p99_vs_nginx, vs_nginx
from devstack.bench.load import Load
from devstack.bench.measuring import Sizes


@pytest.fixture
def rounds(monkeypatch):
    """Two rounds; through the gateway each request takes 4 ms and the slowest 9, direct 2 and 3, through nginx 3 and 6."""
    monkeypatch.setattr(gateway, "peer", lambda: "nginx")

    def by(usual, slowest, seconds):
        return Load([usual] * 98 + [slowest] * 2, seconds)

    one = [by(0.004, 0.009, 2.0), by(0.002, 0.003, 1.0), by(0.003, 0.006, 1.5)]
    return [one, one]


@pytest.mark.unit
def test_rates_are_compared_with_nginx_and_told_beside_the_service_alone(rounds):
    bar = vs_nginx(rounds)
    assert bar.value == pytest.approx(0.75)
    assert bar.note == "50 and 67 requests/s, 100 without either"


@pytest.mark.unit
def test_p99_is_compared_with_nginx_over_all_rounds(rounds):
    assert p99_vs_nginx(rounds).value == pytest.approx(1.5)


@pytest.mark.unit
def test_what_is_added_is_added_to_the_service_called_directly(rounds):
    bar = added(rounds, rounds, 12.5)
    assert bar.value == pytest.approx(2.0)
    assert "nginx 1.00 ms more" in bar.note
    without_peer = added([one[:2] for one in rounds], rounds, 12.5)
    assert without_peer.value == bar.value
    assert "nginx" not in without_peer.note


@pytest.mark.e2e
@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("module", "names"),
    [
        (gateway, ["gateway_vs_nginx", "gateway_p99_vs_nginx", "gateway_added_p50_ms"]),
        (gateway_static, ["gateway_vs_nginx_static", "gateway_vs_bare_proxy"]),
    ],
    ids=["before tenancy", "before a constant answer"],
)
def test_a_stack_is_measured_in_small(module, names):
    bars = module.measure(Sizes(requests=64, pairs=1), lambda _text: None)
    assert [bar.name for bar in bars] == names
    if peers.find("nginx") is None:
        assert all("no nginx" in bar.peer for bar in bars if "nginx" in bar.name)
    else:
        assert all(bar.value is not None for bar in bars)
        assert all(0 < bar.value < 100 for bar in bars if "nginx" in bar.name)
