"""docs/guide/defects-we-do-not-have.md names tests that exist, for each of its 36 lines."""

import ast
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit
ROOT = Path(__file__).parents[2]
LINES = [
    line
    for line in (ROOT / "docs/guide/defects-we-do-not-have.md").read_text(encoding="utf-8").splitlines()
    if re.match(r"\| \d+ \|", line)
]


def named(line: str) -> list[tuple[str, str]]:
    return re.findall(r"`([\w./-]+\.py)::(test_\w+)`", line)


def functions_in(module: Path) -> set[str]:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_defect_has_a_line() -> None:
    assert [int(line.split("|")[1]) for line in LINES] == list(range(1, 37))


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.split("|")[1].strip())
def test_each_line_names_tests_that_exist(line: str) -> None:
    tests = named(line)
    assert tests
    for module, name in tests:
        assert name in functions_in(ROOT / module), f"{module} has no {name}"
