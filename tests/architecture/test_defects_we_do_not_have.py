"""Documents that name a test for each of their lines name tests that exist: 36 defects, and MTN's list for going live."""

import ast
import re
from pathlib import Path

import pytest
from simulators.mtn_momo.outcomes import PAYERS

pytestmark = pytest.mark.unit
ROOT = Path(__file__).parents[2]
DEFECTS, GO_LIVE = "docs/guide/defects-we-do-not-have.md", "docs/guide/mobile-money-go-live.md"


def table(document: str, row: str) -> list[str]:
    lines = (ROOT / document).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if re.match(row, line)]


LINES = table(DEFECTS, r"\| \d+ \|")
CASES = table(GO_LIVE, r"\| (?!case)[A-Z]")


def named(line: str) -> list[tuple[str, str]]:
    return re.findall(r"`([\w./-]+\.py)::(test_\w+)`", line)


def functions_in(module: Path) -> set[str]:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_defect_has_a_line() -> None:
    assert [int(line.split("|")[1]) for line in LINES] == list(range(1, 37))


def test_every_number_of_mtns_sandbox_has_a_case() -> None:
    assert len(CASES) == 15
    assert {number for line in CASES for number in re.findall(r"`(467\d{8})`", line)} == set(PAYERS)


@pytest.mark.parametrize("line", [*LINES, *CASES], ids=lambda line: line.split("|")[1].strip())
def test_each_line_names_tests_that_exist(line: str) -> None:
    tests = named(line)
    assert tests
    for module, name in tests:
        assert name in functions_in(ROOT / module), f"{module} has no {name}"
