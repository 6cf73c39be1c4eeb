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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from devstack import endpoints
from devstack.bench import child
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
        command = [sys.executable, "-m", child.__name__, str(told)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            status = process.wait(measurement.seconds)
            reason = "" if status == 0 else f"it ended with status {status}"
        except subprocess.TimeoutExpired:
            reason = f"it took longer than {measurement.seconds:g} s"
        finally:
            if process.poll() is None:
                _end(process)
            if process.returncode != 0:
                sweep(but=own)
        found = [Bar(**bar) for bar in json.loads(answer.read_text())] if not reason and answer.exists() else []
    reason = reason or measurement.lacks(found)
    say(f"{measurement.module}: {reason or 'measured'}, after {time.monotonic() - began:.0f} s")
    return found, reason


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Interrupt the process and what runs in its group; kill what is left of them after a while."""
    for number, seconds in ((signal.SIGINT, ENDING_SECONDS), (signal.SIGKILL, 10.0)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)


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
