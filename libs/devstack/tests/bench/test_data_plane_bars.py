import pytest
from devstack.bench import peers
from devstack.bench.data_plane_bars import Round, Side, bars_of
from devstack.bench.image import Image
from devstack.bench.limits import Limits

pytestmark = pytest.mark.unit

MIB = 1 << 20
IMAGE = Image(path=None, size=1000 * MIB, sha256="", sample=(), zstd_ratio=2.5)
LIMITS = Limits(compute=200 * MIB, write=400 * MIB, read=3000 * MIB)
"""Of plaintext: 200 MiB/s computing, 1000 storing (400 at a ratio of 2.5), 3000 reading."""


def a_round(*, full=10.0, restore=5.0, limits=LIMITS, restic=None, stage="compute"):
    theirs = restic or Side(full=30.0, restore=8.0, stored=500 * MIB)
    return Round(limits, Side(full, restore, 400 * MIB, stage, "disk"), theirs)


@pytest.fixture(autouse=True)
def _version(monkeypatch):
    monkeypatch.setattr(peers, "version", lambda _path, _argument: "restic 0.14.0 compiled with go")


def found(rounds, program="restic"):
    return {bar.name: bar for bar in bars_of(IMAGE, rounds, program)}


def test_the_first_full_is_restics_time_over_ours_as_the_median_of_the_pairs():
    bar = found([a_round(full=10), a_round(full=10), a_round(full=100)])["full_vs_restic"]
    assert bar.value == 3.0
    assert bar.note == "100 and 33 MiB/s"


def test_the_limit_is_the_slowest_stage_in_plaintext():
    bar = found([a_round(full=10)])["full_vs_limit"]
    assert bar.value == pytest.approx(0.5)
    assert "here compute" in bar.peer


def test_a_slow_disk_becomes_the_limit_by_what_is_stored_and_not_by_what_is_read():
    slow = Limits(compute=200 * MIB, write=40 * MIB, read=3000 * MIB)
    bar = found([a_round(full=10, limits=slow)])["full_vs_limit"]
    assert bar.value == pytest.approx(1.0)
    assert "here store" in bar.peer


def test_the_limiting_stage_is_the_one_that_the_runner_named_most_often():
    rounds = [a_round(stage="read"), a_round(stage="store"), a_round(stage="store")]
    assert found(rounds)["full_vs_restic"].limiting_stage == "store"


def test_a_restore_is_measured_by_the_better_of_restic_and_disk():
    by_restic = found([a_round(restore=4)])["restore_vs_best"]
    assert by_restic.value == pytest.approx(max(8 / 4 / 2, 250 / 400 / 0.8))
    by_disk = found([a_round(restore=3, restic=Side(30, 3, 1))])["restore_vs_best"]
    assert by_disk.value == pytest.approx(1000 / 3 / 400 / 0.8)


def test_what_is_stored_is_compared_in_bytes():
    assert found([a_round()])["stored_vs_restic"].value == pytest.approx(0.8)


def test_without_restic_only_the_limit_has_a_value():
    bars = found([Round(LIMITS, Side(10, 5, 400 * MIB, "compute", "disk"), None)], None)
    assert {name for name, bar in bars.items() if bar.value is None} == {
        "full_vs_restic", "restore_vs_best", "stored_vs_restic",
    }  # fmt: skip
    assert bars["full_vs_limit"].value == pytest.approx(0.5)
