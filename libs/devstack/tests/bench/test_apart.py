import time
from pathlib import Path

import pytest
from devstack import endpoints
from devstack.bench import apart as module
from devstack.bench.apart import apart, only_one, sweep
from devstack.bench.figures import RLS_SCAN_RATIO, Measurement
from devstack.bench.measuring import Sizes
from devstack.servers.postgres import EmbeddedPostgres
from devstack.servers.processes import Process

pytestmark = pytest.mark.integration

HANGS = """
import subprocess
from pathlib import Path

def measure(sizes, say):
    child = subprocess.Popen(["sleep", "600"])
    Path({told!r}).write_text(str(child.pid))
    {meanwhile}
"""


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """Runs a module of the given text apart, for at most so many seconds."""
    monkeypatch.setattr(endpoints, "ROOT", tmp_path / "root")
    monkeypatch.setenv("EBM_DEVSTACK_FOLDER", str(tmp_path / "root"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "trials").mkdir()

    def run(text, seconds=100):
        (tmp_path / "trials" / "trial.py").write_text(text)
        measurement = Measurement("trial", seconds, (RLS_SCAN_RATIO,), "trials")
        return apart(measurement, Sizes.quick(), lambda _text: None)

    return run


def test_the_bars_of_a_child_arrive_with_all_that_they_say(measured):
    found, reason = measured(
        "from dataclasses import replace\n"
        "from devstack.bench.figures import RLS_SCAN_RATIO\n"
        "def measure(sizes, say):\n"
        "    return [replace(RLS_SCAN_RATIO, value=sizes.rows, peer='p', note='n')]\n"
    )
    assert reason == ""
    assert [(bar.value, bar.peer, bar.note, bar.holds_now) for bar in found] == [(200_000, "p", "n", True)]


def test_a_child_that_breaks_has_no_bars_and_a_reason(measured):
    found, reason = measured("def measure(sizes, say):\n    raise ValueError('broken')\n")
    assert found == []
    assert "status 1" in reason


def test_a_child_that_leaves_out_a_figure_has_a_reason(measured):
    found, reason = measured("def measure(sizes, say):\n    return []\n")
    assert found == []
    assert reason == "it did not tell rls_scan_ratio"


@pytest.mark.parametrize(
    "meanwhile", ["child.wait()", "import signal, time; signal.signal(2, signal.SIG_IGN); time.sleep(600)"]
)
def test_what_hangs_is_ended_with_all_that_it_started(measured, tmp_path, monkeypatch, meanwhile):
    monkeypatch.setattr(module, "ENDING_SECONDS", 2.0)
    told = tmp_path / "pid"
    began = time.monotonic()
    found, reason = measured(HANGS.format(told=str(told), meanwhile=meanwhile), seconds=15)
    assert found == []
    assert "longer than 15 s" in reason
    assert time.monotonic() - began < 100
    assert not Process(int(told.read_text()), None).alive
    assert list((tmp_path / "root").iterdir()) == []


def test_a_server_that_a_killed_run_left_is_ended_and_its_folder_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(endpoints, "ROOT", tmp_path)
    left = tmp_path / "bench-left"
    server = EmbeddedPostgres(left / "postgres", tied=False, fsync=False).start()
    assert server.pid is not None
    sweep()
    assert not Process(server.pid, None).alive
    assert not left.exists()


def test_a_second_benchmark_in_the_same_place_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(endpoints, "ROOT", Path(tmp_path))
    with only_one() as first, only_one() as second:
        assert (first, second) == (True, False)
    with only_one() as third:
        assert third
