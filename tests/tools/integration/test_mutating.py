"""Mutations tried for real, on a project as small as one may be."""

import json
import shutil
from pathlib import Path

import invariants
import pytest
from mutating import Mutation, Verdict, read_killers, try_all, write_killers
from testing_run import Outcome, Proof, Servers

FILE = "libs/thing/src/thing/guard.py"
GUARD = """
def may_pass(name: str) -> bool:
    if name == "stranger":
        return False
    return name != ""
"""
TESTS = """
import subprocess, sys
import pytest
from thing.guard import may_pass

@pytest.mark.invariant("S1")
def test_a_stranger_may_not_pass():
    assert not may_pass("stranger")

@pytest.mark.invariant("S1")
def test_a_child_process_refuses_too():
    code = "from thing.guard import may_pass; print(may_pass('stranger'))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"

@pytest.mark.invariant("S2")
def test_a_friend_may_pass():
    assert may_pass("friend")
"""
HERE = "libs/thing/tests/test_guard.py"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for file, text in {FILE: GUARD, "libs/thing/src/thing/__init__.py": "", HERE: TESTS}.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text)
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(invariants.ROOT / name, root)
    shutil.copytree(invariants.ROOT / "tools", root / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    return root


async def tried(project: Path, mutation: Mutation, *slow: str, killer: str | None = None) -> Verdict:
    tests = ["test_a_stranger_may_not_pass", "test_a_child_process_refuses_too", "test_a_friend_may_pass"]
    proofs = {f"{HERE}::{test}": Proof([], "passed", 9.0 if test in slow else 0.1) for test in tests}
    killers = {mutation.name: f"{HERE}::{killer}"} if killer else {}
    (verdict,) = await try_all([mutation], project, Servers(), Outcome(0, proofs=proofs), killers)
    assert (project / FILE).read_text() == GUARD, "the work tree is never changed"
    return verdict


def mutation(number: str, old: str, new: str) -> Mutation:
    return Mutation(number, "the guard", FILE, old, new)


async def test_a_mechanism_whose_test_fails_without_it_is_killed_by_that_test(project: Path) -> None:
    verdict = await tried(project, mutation("S1", "return False", "return True"))
    assert (verdict.result, verdict.test) == ("killed", f"{HERE}::test_a_stranger_may_not_pass")


async def test_child_processes_run_the_mutated_code_and_the_quickest_test_comes_first(project: Path) -> None:
    verdict = await tried(project, mutation("S1", "return False", "return True"), "test_a_stranger_may_not_pass")
    assert (verdict.result, verdict.test) == ("killed", f"{HERE}::test_a_child_process_refuses_too")


async def test_the_test_that_noticed_it_before_is_tried_first(project: Path) -> None:
    killer = "test_a_child_process_refuses_too"
    verdict = await tried(project, mutation("S1", "return False", "return True"), killer=killer)
    assert (verdict.result, verdict.test) == ("killed", f"{HERE}::{killer}")


@pytest.mark.parametrize("killer", ["test_a_friend_may_pass", "test_that_is_gone"])
async def test_where_that_one_notices_nothing_any_more_the_others_are_run(project: Path, killer: str) -> None:
    verdict = await tried(project, mutation("S1", "return False", "return True"), killer=killer)
    assert (verdict.result, verdict.test) == ("killed", f"{HERE}::test_a_stranger_may_not_pass")


def test_what_noticed_a_mutation_is_kept_until_another_does_or_the_mutation_is_gone(tmp_path: Path) -> None:
    one, two, gone = (Mutation("S1", name, FILE, "a", "b") for name in ("one", "two", "gone"))
    write_killers(tmp_path, [one, two, gone], [Verdict(each, "killed", "t1") for each in (one, two, gone)])
    write_killers(tmp_path, [one, two], [Verdict(one, "killed", "t2"), Verdict(two, "survived")])
    assert read_killers(tmp_path) == {"S1 one": "t2", "S1 two": "t1"}


async def test_a_mutation_that_no_test_of_its_number_notices_survives(project: Path) -> None:
    verdict = await tried(project, mutation("S2", "return False", "return True"))
    assert (verdict.result, verdict.reason) == ("survived", "1 tests passed")


async def test_an_import_error_is_a_broken_mutation(project: Path) -> None:
    verdict = await tried(project, mutation("S1", "def may_pass", "def may_enter"))
    assert (verdict.result, verdict.reason) == ("broken", f"{HERE} could not be collected")


async def test_a_mutation_that_no_longer_applies_is_broken(project: Path) -> None:
    verdict = await tried(project, mutation("S1", "return None", "return True"))
    assert (verdict.result, verdict.reason) == ("broken", f"no longer applies: {FILE} has its text 0 times")


async def test_a_number_without_a_test_is_broken(project: Path) -> None:
    assert (await tried(project, mutation("S3", "return False", "return True"))).result == "broken"


def test_what_was_found_is_written_for_machines_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invariants, "FOUND", tmp_path / "deep" / "invariants.json")
    verdict = Verdict(mutation("S1", "a", "b"), "survived", reason="1 tests passed")
    invariants._write(Outcome(0, proofs={"a test": Proof(["S1"], "passed", 0.1)}), [verdict])
    written = json.loads(invariants.FOUND.read_text())
    assert written["tests"]["a test"]["numbers"] == ["S1"]
    assert (written["mutations"][0]["result"], written["mutations"][0]["mutation"]["number"]) == ("survived", "S1")
