"""Switches a mechanism off in a copy of the sources and looks whether a test of its invariant fails.

The list is `tools/mutations/*.toml`: under a number, the mechanism that is switched off in a few words, the file, the
text that must occur in it exactly once, and the text in its place. The work tree is never changed.

Beside it, `tools/mutations/killers.json` tells which test noticed each when `make invariants ARGS=--remember` last
wrote it. That one is tried by itself first; only where it does not notice any more are the others of the number run.
"""

import asyncio
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from common.testing.waiting import PATIENCE_SETTING
from pytest_numbers import NUMBERS_SETTING, SECONDS_SETTING
from testing_run import PLUGINS, Outcome, Servers, pytest_environment, read_outcome

AT_ONCE = 2
"""Mutations tried at a time: one per core of the smallest machine that we run on."""
PATIENCE_SECONDS = 240
"""For one mutation; its tests take seconds, and each has a time-out of its own."""
CONDITION_SECONDS = 15
"""How long a test waits for what the mutation keeps from happening: without it that takes a second or two."""
KILLERS = "killers.json"
PARTS = ("libs", "services", "tests/architecture")
"""Where unit and integration tests are; to import what starts a whole stack costs more than most mutations' tests."""
SOURCES = re.compile(r"(libs|services)/[a-z-]+/src/.+")
NO_FAILURE_OF_A_TEST = re.compile(
    r"(ImportError|ModuleNotFoundError|SyntaxError|IndentationError|NameError|UnboundLocalError)\b|Failed: Timeout"
)
"""The first words of a failure that tells of a careless mutation or of a busy machine, and not of a mechanism."""


@dataclass(frozen=True)
class Mutation:
    """One mechanism switched off. ``off`` tells which, as a noun."""

    number: str
    off: str
    file: str
    old: str
    new: str

    @property
    def name(self) -> str:
        return f"{self.number} {self.off}"

    def apply(self, root: Path) -> None:
        """Change the copy under `root`.

        Raises:
            NotApplicable: The file is none of the product's, or has the old text not exactly once.
        """
        path = root / self.file
        if not SOURCES.fullmatch(self.file) or not path.is_file():
            raise NotApplicable(f"no longer applies: {self.file} is no source of the product")
        text = path.read_text()
        if (times := text.count(self.old)) != 1 or self.old == self.new:
            raise NotApplicable(f"no longer applies: {self.file} has its text {times} times")
        _write(path, text.replace(self.old, self.new))


class NotApplicable(Exception):
    """The mutation does not fit the sources any more."""


@dataclass(frozen=True)
class Verdict:
    """What came of a mutation: ``killed``, ``survived``, or ``broken``, which says nothing about any test.

    Attributes:
        test: The test that failed, where one did.
        reason: What it said, or what is broken.
    """

    mutation: Mutation
    result: str
    test: str = ""
    reason: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        told = {
            "killed": f"killed by {self.test} in {self.seconds:.0f} s",
            "survived": f"SURVIVED ({self.reason})",
            "broken": f"BROKEN: {self.reason}",
        }
        return f"{self.mutation.number:<5} {self.mutation.off}: {told[self.result]}"


def read_killers(folder: Path) -> dict[str, str]:
    """Which test noticed each mutation, by `Mutation.name`; nothing where that was never written."""
    path = folder / KILLERS
    found: dict[str, str] = json.loads(path.read_text())["noticed_by"] if path.is_file() else {}
    return found


def write_killers(folder: Path, every: Iterable[Mutation], verdicts: Iterable[Verdict]) -> None:
    """Write which test noticed each mutation; what was not tried now keeps the test it has."""
    killed = {verdict.mutation.name: verdict.test for verdict in verdicts if verdict.result == "killed"}
    known = read_killers(folder) | killed
    noticed = {mutation.name: known[mutation.name] for mutation in every if mutation.name in known}
    text = {"generated_by": "make invariants ARGS=--remember", "noticed_by": dict(sorted(noticed.items()))}
    (folder / KILLERS).write_text(json.dumps(text, indent=1) + "\n")


def read_mutations(folder: Path) -> list[Mutation]:
    """Every mutation of the folder, in the order of its files."""
    return [
        Mutation(number, **entry)
        for file in sorted(folder.glob("*.toml"))
        for number, entries in tomllib.loads(file.read_text()).items()
        for entry in entries
    ]


def test_files(root: Path, numbers: Iterable[str]) -> list[str]:
    """The files below `root` with a unit or integration test that names one of these numbers."""
    named = re.compile(rf"invariant\([^)]*\"({'|'.join(numbers)})\"")
    found = [path for part in PARTS for path in (root / part).rglob("test_*.py")]
    return sorted(str(path.relative_to(root)) for path in found if named.search(path.read_text()))


def judge(mutation: Mutation, outcome: Outcome, plain: Outcome) -> Verdict:
    """Tell from a run with the mutation, and the one without, whether a test of its number noticed."""
    failed = next(((test, proof) for test, proof in outcome.proofs.items() if proof.outcome == "failed"), None)
    if outcome.broken:
        return Verdict(mutation, "broken", reason=f"{outcome.broken[0]} could not be collected")
    if failed is None:
        passed = sum(proof.outcome == "passed" for proof in outcome.proofs.values())
        if outcome.exit_code or not passed:
            return Verdict(mutation, "broken", reason=f"pytest ended with {outcome.exit_code}, {passed} tests passed")
        return Verdict(mutation, "survived", reason=f"{passed} tests passed")
    test, proof = failed
    without = plain.proofs.get(test)
    if without is None or without.outcome != "passed":
        return Verdict(mutation, "broken", test, "its test does not pass without it")
    if proof.phase != "call" or NO_FAILURE_OF_A_TEST.match(proof.reason):
        return Verdict(mutation, "broken", test, f"{test} failed in its {proof.phase}: {proof.reason}")
    return Verdict(mutation, "killed", test, proof.reason)


class Forks:
    """A process that has imported the libraries, and forks a run of pytest when it is asked; see `pytest_forks`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._ask, self._answer = process.stdin, process.stdout

    async def run(self, arguments: list[str], folder: Path, environment: Mapping[str, str], output: Path) -> int:
        """Run to the end or to the end of our patience, in a group of its own so that nothing of it is left."""
        told = {"arguments": arguments, "folder": str(folder), "environment": environment, "output": str(output)}
        self._ask.write(json.dumps(told).encode() + b"\n")
        group = int(await self._answer.readline())
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return int(await self._answer.readline())
        except TimeoutError:
            _end(group)
            return int(await self._answer.readline())
        finally:
            _end(group)


class Tree:
    """A copy of the sources and tests, for one mutation after the other."""

    def __init__(self, original: Path, root: Path) -> None:
        self.root = root
        shutil.copytree(original, root, symlinks=True, ignore=shutil.ignore_patterns(".*", "__pycache__"))

    def import_path(self) -> list[Path]:
        return [self.root / "tools", *self.root.glob("libs/*/src"), *self.root.glob("services/*/src")]

    @asynccontextmanager
    async def forks(self) -> AsyncIterator[Forks]:
        """Start what runs pytest on this tree."""
        packages = sorted(path.parent.name for path in self.root.glob("*/*/src/*/__init__.py"))
        process = await asyncio.create_subprocess_exec(
            sys.executable, self.root / "tools" / "pytest_forks.py", *packages, cwd=self.root,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, self.import_path()))},
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            yield Forks(process)
        finally:
            process.kill()
            await process.wait()

    async def run(
        self, forks: Forks, mutation: Mutation, found: Servers, plain: Outcome, killer: str | None = None
    ) -> Verdict:
        """Try one mutation, on its killer first; the copy is as before when this returns."""
        started = time.monotonic()
        path = self.root / mutation.file
        try:
            before = path.read_text() if path.is_file() else ""
            mutation.apply(self.root)
        except NotApplicable as error:
            return Verdict(mutation, "broken", reason=str(error))
        try:
            verdict = Verdict(mutation, "survived")
            if killer is not None and killer in plain.proofs:
                verdict = judge(mutation, await self._pytest(forks, mutation, found, plain, [killer]), plain)
            if verdict.result != "killed":
                files = test_files(self.root, [mutation.number])
                verdict = judge(mutation, await self._pytest(forks, mutation, found, plain, files), plain)
        finally:
            _write(path, before)
        return Verdict(mutation, verdict.result, verdict.test, verdict.reason, time.monotonic() - started)

    async def _pytest(
        self, forks: Forks, mutation: Mutation, found: Servers, plain: Outcome, tests: list[str]
    ) -> Outcome:
        if not tests:
            return Outcome(exit_code=5)
        with tempfile.TemporaryDirectory(prefix="ebm-mutation-") as name:
            record, seconds = Path(name) / "record.json", Path(name) / "seconds.json"
            seconds.write_text(json.dumps({test: proof.seconds for test, proof in plain.proofs.items()}))
            environment = pytest_environment(found, record, self.import_path())
            environment |= {NUMBERS_SETTING: mutation.number, SECONDS_SETTING: str(seconds)}
            environment |= {PATIENCE_SETTING: str(CONDITION_SECONDS)}
            chosen = ["-p", "pytest_numbers", "-p", "no:cacheprovider", "-q", "-x", "--tb=short", *tests]
            code = await forks.run([*PLUGINS, *chosen], self.root, environment, Path(name) / "output")
            return read_outcome(code, record)


def _end(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _write(path: Path, text: str) -> None:
    """Write a source and forget its compiled form: that is found by time in seconds and size, which may be the same."""
    path.write_text(text)
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()


async def try_all(
    mutations: list[Mutation], original: Path, found: Servers, plain: Outcome, killers: Mapping[str, str] | None = None
) -> list[Verdict]:
    """Try every mutation, a few at a time, and print each verdict as it comes; return them in the list's order.

    Args:
        mutations: What is tried.
        original: The tree that is copied.
        found: The servers that the tests use.
        plain: How the tests went without a mutation.
        killers: The test that noticed a mutation before, by the mutation's name.
    """
    known = killers or {}
    waiting = list(reversed(mutations))
    verdicts: dict[Mutation, Verdict] = {}

    async def work(tree: Tree) -> None:
        async with tree.forks() as forks:
            while waiting:
                mutation = waiting.pop()
                verdicts[mutation] = await tree.run(forks, mutation, found, plain, known.get(mutation.name))
                print(verdicts[mutation], flush=True)

    with tempfile.TemporaryDirectory(prefix="ebm-mutations-") as folder:
        async with asyncio.TaskGroup() as group:
            for index in range(min(AT_ONCE, len(mutations))):
                group.create_task(work(Tree(original, Path(folder) / str(index))))
    return [verdicts[mutation] for mutation in mutations]
