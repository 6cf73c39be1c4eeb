"""One measurement in a process of its own, under a time limit, and nothing of it left afterwards.

The child is told to end by SIGINT, so that what it started ends with it as after Ctrl-C. What survives even that (the
child was killed, or never got so far) is found by the folders in which it was started.
"""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from devstack import endpoints
from devstack.bench.figures import Measurement
from devstack.bench.measuring import Say, Sizes
from devstack.bench.report import Bar
from devstack.servers.postgres import EmbeddedPostgres

FOLDERS = "bench-"
"""What the names of folders begin with in which a measurement starts anything."""
ENDING_SECONDS = 90.0
"""How long a child may take to end what it started: a stack's parts have 35."""
DOWN_SECONDS = 120.0


@contextmanager
def folder() -> Iterator[Path]:
    """A folder for the block, where ``sweep`` finds what was started in it."""
    endpoints.ROOT.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=endpoints.ROOT, prefix=FOLDERS, ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextmanager
def only_one() -> Iterator[bool]:
    """Whether this is the only benchmark in this place."""
    endpoints.ROOT.mkdir(parents=True, exist_ok=True)
    with (endpoints.ROOT / "bench.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def apart(measurement: Measurement, sizes: Sizes, say: Say) -> tuple[list[Bar], str]:
    """Measure in a child; return the bars, and why there are none where it broke or took too long."""
    began = time.monotonic()
    with folder() as own:
        told, answer = own / "told.json", own / "bars.json"
        module = f"{measurement.package}.{measurement.module}"
        told.write_text(json.dumps({"module": module, "sizes": asdict(sizes), "answer": str(answer)}))
        command = [sys.executable, "-m", __name__, str(told)]
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            status = child.wait(measurement.seconds)
            reason = "" if status == 0 else f"it ended with status {status}"
        except subprocess.TimeoutExpired:
            reason = f"it took longer than {measurement.seconds:g} s"
        finally:
            if child.poll() is None:
                _end(child)
            if child.returncode != 0:
                sweep(but=own)
        say(f"{measurement.module}: {reason or 'measured'}, after {time.monotonic() - began:.0f} s")
        found = json.loads(answer.read_text()) if answer.exists() and not reason else []
    return [Bar(**bar) for bar in found], reason


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Interrupt the child and what runs in its group; after a while, kill them."""
    for number, seconds in ((signal.SIGINT, ENDING_SECONDS), (signal.SIGKILL, 10.0)):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with suppress(subprocess.TimeoutExpired):
            child.wait(seconds)
            return


def ends_on_signals() -> None:
    """Let SIGTERM and SIGINT end this process as Ctrl-C does, also where it was started with SIGINT ignored."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def sweep(but: Path | None = None) -> None:
    """End what an earlier measurement left running, and remove its folders. Call it while no other measures."""
    for left in endpoints.ROOT.glob(f"{FOLDERS}*"):
        if left == but or not left.is_dir():
            continue
        if (left / "up").is_dir():
            environment = os.environ | {"EBM_DEVSTACK_FOLDER": str(left)}
            with suppress(subprocess.TimeoutExpired):
                subprocess.run(
                    [sys.executable, "-m", "devstack", "down"],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=DOWN_SECONDS,
                    check=False,
                )
        if (left / "postgres").is_dir():
            EmbeddedPostgres(left / "postgres", throw_away=True).stop()
        shutil.rmtree(left, ignore_errors=True)


def _child(told: Path) -> int:
    """Measure, and leave the bars as JSON."""
    ends_on_signals()
    wish = json.loads(told.read_text())
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"  {time.monotonic() - began:6.1f} s  {text}", flush=True)

    try:
        bars = import_module(wish["module"]).measure(Sizes(**wish["sizes"]), say)
    except Exception:  # noqa: BLE001 - shown, and told by the status
        traceback.print_exc()
        return 1
    Path(wish["answer"]).write_text(json.dumps([asdict(bar) for bar in bars]))
    return 0


if __name__ == "__main__":
    sys.exit(_child(Path(sys.argv[1])))
