"""`.ci/run`: check, test, the specifications where they are, the guide's client against `make up`, then the demo.

Every step runs even if an earlier one failed. The last line counts tests as pytest does; a step that is no test counts
as one. What `make up` started is ended in any case.
"""

import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer

from bootstrap import ROOT
from testing_run import end_on_signals

SPECIFICATIONS = ROOT.parent / "shared" / "specs"
"""Where the machine that runs this keeps the providers' specifications, if it does; SPECS_DIR names another place."""
ENDPOINTS = ROOT / ".devstack" / "endpoints.json"
CLOSING = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$")
LIMIT_SECONDS = 40 * 60
"""How long one step may take before it counts as hung: all of them together take less."""


class Run:
    """Counts of the steps so far."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.failed: list[str] = []

    def step(self, name: str, *command: str, **environment: str) -> bool:
        """Run a command with its output shown; its closing line, if it has one, gives the counts."""
        print(f"::: {name}", flush=True)
        started = time.monotonic()
        closing, code = _run(command, environment)
        if closing is None:
            self.counts["passed" if code == 0 else "failed"] += 1
        else:
            self.counts.update(closing)
            # It failed without a failing test: by its exit code alone.
            self.counts["failed"] += code != 0 and not closing["failed"]
        if code != 0:
            self.failed.append(name)
        print(
            f"::: {name}: {'ok' if code == 0 else f'FAILED ({code})'} in {time.monotonic() - started:.0f} s", flush=True
        )
        return code == 0


def _run(command: tuple[str, ...], environment: dict[str, str]) -> tuple[Counter[str] | None, int]:
    closing = None
    with (
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
        _ended_after(process, LIMIT_SECONDS),
    ):
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.write(line)
            if found := CLOSING.match(line.strip()):
                closing = Counter(passed=int(found[1]), failed=int(found[2]), skipped=int(found[3]))
        sys.stdout.flush()
    return closing, process.returncode


@contextmanager
def _ended_after(process: "subprocess.Popen[str]", seconds: float) -> Iterator[None]:
    timer = Timer(seconds, process.terminate)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def steps(run: Run) -> Iterator[Callable[[], bool]]:
    python = sys.executable
    yield lambda: run.step("check", python, "tools/check.py")
    required = ("--require", "tools/invariants-required.txt")
    yield lambda: run.step("test", python, "tools/test.py", "--repeat-failed", *required)
    folder = os.environ.get("SPECS_DIR") or (str(SPECIFICATIONS) if SPECIFICATIONS.is_dir() else "")
    if folder:
        yield lambda: run.step("specifications", python, "tools/test_specs.py", SPECS_DIR=folder)
    yield lambda: _client_against_up(run)
    yield lambda: run.step("demo", python, "-m", "devstack", "demo")


def _client_against_up(run: Run) -> bool:
    """The guide's client against separate processes with RabbitMQ."""
    python = sys.executable
    try:
        return run.step("up", python, "-m", "devstack", "up") and run.step(
            "client against up",
            python,
            "tools/test.py",
            "--repeat-failed",
            "--kind",
            "e2e",
            "tests/e2e/test_guide_client.py",
            EBM_ENDPOINTS=str(ENDPOINTS),
        )
    finally:
        run.step("down", python, "-m", "devstack", "down")


def main() -> int:
    end_on_signals()
    started = time.monotonic()
    run = Run()
    for step in steps(run):
        step()
    if run.failed:
        print(f"failed: {', '.join(run.failed)}")
    told = ", ".join(f"{run.counts[what]} {what}" for what in ("failed", "passed", "skipped") if run.counts[what])
    print(f"{f' {told} in {time.monotonic() - started:.2f}s ':=^80}")
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
