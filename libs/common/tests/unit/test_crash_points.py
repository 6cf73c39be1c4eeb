"""A crash point does nothing unless a test's settings arm it."""

import os
import signal
import subprocess
import sys

import pytest
from common.crash_points import Deed, arm, reach
from common.settings import ServiceSettings, load, service_config

pytestmark = pytest.mark.unit

PROGRAM = """
import sys
from common.crash_points import Deed, arm, reach
arm({"hotel.room.cleaned": Deed(sys.argv[1])})
reach("hotel.room.entered")
print("entered", flush=True)
reach("hotel.room.cleaned")
print("cleaned", flush=True)
reach("hotel.room.cleaned")
print("cleaned again", flush=True)
"""


class HotelSettings(ServiceSettings):
    model_config = service_config("HOTEL_")


def test_a_point_that_is_not_armed_does_nothing() -> None:
    arm({})
    reach("hotel.room.cleaned")


def test_an_armed_point_kills_the_process_where_it_stands() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM, Deed.KILL], capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert ended.stdout == "entered\n"


def test_a_stopped_process_goes_on_when_continued_and_is_not_stopped_again() -> None:
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, Deed.STOP], stdout=subprocess.PIPE, text=True)
    _, status = os.waitpid(child.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    os.kill(child.pid, signal.SIGCONT)
    output, _ = child.communicate(timeout=20)
    assert output == "entered\ncleaned\ncleaned again\n"


@pytest.mark.parametrize("environment", ["production", "development"])
def test_no_environment_but_test_takes_crash_points(
    environment: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENVIRONMENT", environment)
    monkeypatch.setenv("HOTEL_CRASH_POINTS", '{"hotel.room.cleaned": "kill"}')
    with pytest.raises(SystemExit):
        load(HotelSettings)
    assert "HOTEL_CRASH_POINTS: Value error, crash points are for tests" in capsys.readouterr().err


def test_test_settings_arm_points_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "test")
    monkeypatch.setenv("HOTEL_CRASH_POINTS", '{"hotel.room.cleaned": "stop"}')
    assert load(HotelSettings).crash_points == {"hotel.room.cleaned": Deed.STOP}
