"""The list of mutations fits the sources, and what counts as a test that noticed one."""

import dataclasses
from pathlib import Path

import invariants
import mutating
import pytest
from mutating import Mutation, NotApplicable, Verdict, judge, read_mutations
from testing_run import Outcome, Proof

FILE = "libs/thing/src/thing/guard.py"
MUTATION = Mutation("S1", "the guard", FILE, "return False", "return True")
TEST = "libs/thing/tests/test_guard.py::test_the_guard_refuses"
PASSED = Proof(["S1"], "passed", 0.1)
FAILED = Proof(["S1"], "failed", 0.1, "call", "AssertionError: assert True is False")
PLAIN = Outcome(0, proofs={TEST: PASSED})


def judged(exit_code: int = 1, plain: Outcome = PLAIN, **proofs: Proof) -> Verdict:
    return judge(MUTATION, Outcome(exit_code, proofs=dict(zip([TEST], proofs.values(), strict=False))), plain)


def source(root: Path, text: str) -> Path:
    path = root / FILE
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("mutation", read_mutations(invariants.MUTATIONS), ids=lambda one: f"{one.number} {one.off}")
def test_every_mutation_of_the_list_fits_the_sources_and_leaves_them_readable(mutation: Mutation) -> None:
    text = (invariants.ROOT / mutation.file).read_text()
    assert text.count(mutation.old) == 1, "change the mutation in tools/mutations together with the source"
    compile(text.replace(mutation.old, mutation.new), mutation.file, "exec")


def test_every_number_that_the_document_wants_switched_off_has_a_mutation() -> None:
    wanted = invariants.listed(invariants.DOCUMENT.read_text())
    assert len(wanted) > 20
    assert {"S1", "S23", "S46", "D65"} <= set(wanted) <= {one.number for one in read_mutations(invariants.MUTATIONS)}


def test_a_test_that_fails_in_its_call_has_noticed() -> None:
    verdict = judged(proof=FAILED)
    assert (verdict.result, verdict.test) == ("killed", TEST)


def test_tests_that_all_pass_have_not_noticed() -> None:
    assert judged(0, proof=PASSED).result == "survived"


@pytest.mark.parametrize(
    "reason",
    [
        "ImportError: cannot import name 'x'",
        "ModuleNotFoundError: No module named 'x'",
        "SyntaxError: invalid syntax",
        "NameError: name 'x' is not defined",
        "Failed: Timeout (>120.0s) from pytest-timeout.",
    ],
)
def test_a_careless_mutation_or_a_time_out_is_no_proof(reason: str) -> None:
    assert judged(proof=dataclasses.replace(FAILED, reason=reason)).result == "broken"


def test_a_failure_before_the_test_itself_is_no_proof() -> None:
    assert judged(proof=dataclasses.replace(FAILED, phase="setup")).result == "broken"


def test_a_test_that_fails_without_the_mutation_too_is_no_proof() -> None:
    assert judged(proof=FAILED, plain=Outcome(1, proofs={TEST: FAILED})).result == "broken"
    assert judged(proof=FAILED, plain=Outcome(0)).result == "broken"


@pytest.mark.parametrize("skipped", [{}, {"proof": dataclasses.replace(PASSED, outcome="skipped")}])
def test_where_no_test_ran_nothing_is_proven(skipped: dict[str, Proof]) -> None:
    assert judged(0, **skipped).result == "broken"


def test_files_that_cannot_be_collected_are_no_proof() -> None:
    assert judge(MUTATION, Outcome(2, broken=["a.py"], proofs={TEST: FAILED}), PLAIN).result == "broken"


@pytest.mark.parametrize("text", ["return None", "return False\nreturn False"])
def test_a_mutation_that_does_not_fit_exactly_once_is_refused(tmp_path: Path, text: str) -> None:
    path = source(tmp_path, text)
    with pytest.raises(NotApplicable, match="no longer applies"):
        MUTATION.apply(tmp_path)
    assert path.read_text() == text


@pytest.mark.parametrize("file", ["libs/thing/tests/test_guard.py", "tools/invariants.py", "libs/thing/src/gone.py"])
def test_only_a_source_of_the_product_is_changed(tmp_path: Path, file: str) -> None:
    with pytest.raises(NotApplicable, match="no source of the product"):
        dataclasses.replace(MUTATION, file=file).apply(tmp_path)


@pytest.mark.parametrize(
    ("results", "wanted", "sound"),
    [
        (["killed", "killed"], ["S1"], True),
        (["killed", "survived"], ["S1"], False),
        (["killed", "broken"], ["S1"], False),
        (["killed"], ["S1", "D1"], False),
    ],
)
def test_the_verb_fails_for_a_survivor_a_broken_one_and_a_number_without(
    capsys: pytest.CaptureFixture[str], results: list[str], wanted: list[str], sound: bool
) -> None:
    verdicts = [Verdict(MUTATION, result, TEST, "why") for result in results]
    assert invariants.report_mutations(verdicts, wanted) is sound
    assert f"mutations: {results.count('killed')} killed" in capsys.readouterr().out


def test_files_are_found_by_the_numbers_that_their_tests_name(tmp_path: Path) -> None:
    tests = tmp_path / "libs" / "thing" / "tests"
    tests.mkdir(parents=True)
    for name, numbers in {"one": '"S1"', "two": '"D2", "S1"', "other": '"S10"'}.items():
        (tests / f"test_{name}.py").write_text(f"@pytest.mark.invariant({numbers})\ndef test(): ...\n")
    found = mutating.test_files(tmp_path, ["S1", "D9"])
    assert found == ["libs/thing/tests/test_one.py", "libs/thing/tests/test_two.py"]


def test_files_of_end_to_end_tests_are_not_even_imported(tmp_path: Path) -> None:
    for folder in ("tests/e2e", "tests/crashes", "tests/architecture"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "test_it.py").write_text('@pytest.mark.invariant("S1")\ndef test(): ...\n')
    assert mutating.test_files(tmp_path, ["S1"]) == ["tests/architecture/test_it.py"]
