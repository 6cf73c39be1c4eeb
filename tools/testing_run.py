"""One run of pytest with the servers that it needs, for `tools/test.py` and `tools/invariants.py`.

Servers are found by the environment, else started for this run and gone after it.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from bootstrap import ROOT
from devstack.servers.errors import RabbitUnavailable
from devstack.servers.placement import remove_placed
from devstack.servers.postgres import PostgresServer, postgres
from devstack.servers.processes import Process
from devstack.servers.rabbitmq import RabbitServer, rabbitmq
from pytest_record import KINDS, RECORD_SETTING, WITHOUT_SETTING

WORKERS = os.environ.get("EBM_TEST_WORKERS", "2")
"""Processes that run tests: two, as many as the smallest machine that we run on has cores."""
NOTHING_SELECTED = 5
"""pytest's exit code for an empty selection."""


@dataclass
class Servers:
    """What tests of this run may talk to."""

    postgres: PostgresServer | None = None
    rabbitmq: RabbitServer | None = None
    missing: str = ""

    @property
    def environment(self) -> dict[str, str]:
        found: dict[str, str] = {}
        if self.postgres is not None:
            found["EBM_TEST_POSTGRES_URL"] = self.postgres.url
        if self.rabbitmq is not None:
            found["EBM_TEST_RABBITMQ_URL"] = self.rabbitmq.url
            found["EBM_TEST_RABBITMQ_MANAGEMENT_URL"] = self.rabbitmq.management_url
        if self.missing:
            found[WITHOUT_SETTING] = "1"
        return found

    def __str__(self) -> str:
        if self.postgres is None and self.rabbitmq is None:
            return "servers: none started, these tests use none"
        told = []
        for name, server in (("postgresql", self.postgres), ("rabbitmq", self.rabbitmq)):
            told.append(f"{name} {server.version} {server.host}:{server.port}" if server else f"{name} none")
        return f"servers: {', '.join(told)}"


@dataclass(frozen=True)
class Proof:
    """What one test with invariants came to.

    Attributes:
        numbers: The sentences that it proves.
        outcome: ``passed``, ``failed`` or ``skipped``.
        seconds: Set-up, call and clean-up together.
        phase: Which of the three failed or skipped it.
        reason: First line of what it said then.
    """

    numbers: list[str]
    outcome: str
    seconds: float
    phase: str = ""
    reason: str = ""


@dataclass
class Outcome:
    """What a run of pytest came to."""

    exit_code: int
    kinds: dict[str, Counter[str]] = field(default_factory=dict)
    invariants: dict[str, Counter[str]] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    unsteady: list[str] = field(default_factory=list)
    proofs: dict[str, Proof] = field(default_factory=dict)
    """By the test's id, in the order in which they ended."""

    def count(self, outcome: str) -> int:
        """Tests with this outcome; a file that cannot be collected counts as one failed test."""
        extra = len(self.broken) if outcome == "failed" else 0
        return sum(counts[outcome] for counts in self.kinds.values()) + extra


@contextmanager
def servers(*, wanted: bool = True) -> Iterator[Servers]:
    """PostgreSQL and RabbitMQ for as long as the block lasts; without RabbitMQ where it cannot be had."""
    with ExitStack() as stack:
        if not wanted:
            yield Servers()
            return
        folder = ROOT / ".devstack" / "tests"
        folder.mkdir(parents=True, exist_ok=True)
        _remove_left_over(folder)
        own = Path(tempfile.mkdtemp(prefix=f"run-{os.getpid()}-", dir=folder))
        # PostgreSQL's unprivileged user goes through it; what lies in it protects itself.
        own.chmod(0o755)
        stack.callback(shutil.rmtree, own, ignore_errors=True)
        found = Servers(postgres=stack.enter_context(postgres(own / "postgres", fsync=False, throw_away=True)))
        try:
            found.rabbitmq = stack.enter_context(rabbitmq(own / "rabbitmq", throw_away=True))
        except RabbitUnavailable as error:
            found.missing = str(error)
        yield found


def _remove_left_over(folder: Path) -> None:
    """Remove what runs that were killed could not; their servers ended with them."""
    for found in folder.glob("run-*-*"):
        if not Process.of(int(found.name.split("-")[1])).alive:
            shutil.rmtree(found, ignore_errors=True)
            remove_placed(found)


PLUGINS = ["-p", "pytest_record", "-p", "pytest_one_stack"]


def run_pytest(arguments: list[str], found: Servers) -> Outcome:
    """Run pytest with the repository's plugin; its output goes where ours goes."""
    with tempfile.TemporaryDirectory(prefix="ebm-record-") as name:
        record = Path(name) / "record.json"
        environment = pytest_environment(found, record, [ROOT / "tools"])
        command = [sys.executable, "-m", "pytest", *PLUGINS, *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, check=False)
        return read_outcome(done.returncode, record)


def pytest_environment(found: Servers, record: Path, folders: list[Path]) -> dict[str, str]:
    """Settings of a run that writes `record`; `folders` are searched first for what is imported."""
    path = [*map(str, folders), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, **found.environment, RECORD_SETTING: str(record), "PYTHONPATH": os.pathsep.join(path)}


MOST_REPEATED = 8
"""More failed tests than these are no accident of a busy machine."""


def repeat_failed(outcome: Outcome, found: Servers) -> Outcome:
    """Run the few tests that failed once more, alone; those that pass then count as passed and are named."""
    if outcome.broken or not 0 < len(outcome.failed) <= MOST_REPEATED:
        return outcome
    again = run_pytest([*outcome.failed], found)
    for first, second in ((outcome.kinds, again.kinds), (outcome.invariants, again.invariants)):
        for name, counts in second.items():
            first[name]["passed"] += counts["passed"]
            first[name]["failed"] -= counts["passed"]
    outcome.unsteady = sorted(set(outcome.failed) - set(again.failed))
    outcome.exit_code = again.exit_code
    return outcome


def read_outcome(exit_code: int, record: Path) -> Outcome:
    """What a run that ended so has written down; without `record` it wrote nothing."""
    outcome = Outcome(exit_code, kinds={kind: Counter() for kind in KINDS})
    if record.is_file():
        written = json.loads(record.read_text())
        outcome.kinds = {kind: Counter(counts) for kind, counts in written["kinds"].items()}
        outcome.invariants = {number: Counter(counts) for number, counts in written["invariants"].items()}
        outcome.broken = written["broken"]
        outcome.failed = written["failed"]
        outcome.proofs = {test: Proof(**proof) for test, proof in written["proofs"].items()}
    names = Path(f"{record}.left-out")
    if names.is_file():
        outcome.left_out = sorted(set(names.read_text().splitlines()))
    return outcome


def end_on_signals() -> None:
    """Let SIGTERM unwind as Ctrl-C does, so that servers are stopped."""

    def unwind(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, unwind)
    signal.signal(signal.SIGHUP, unwind)
