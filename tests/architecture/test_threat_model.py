"""docs/threat-model.md: every threat has an answer and names tests that exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit
ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
THREATS = [line for line in TEXT.splitlines() if line.startswith("| ") and not line.startswith("| threat |")]
NAMED = re.compile(r"`([\w./-]+\.py)::(test_\w+)`")


@cache
def functions_in(module: Path) -> frozenset[str]:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_the_document_has_threats() -> None:
    assert len(THREATS) > 20


@pytest.mark.parametrize("line", THREATS, ids=lambda line: line.split("|")[1].strip()[:50])
def test_each_threat_has_an_answer_and_tests_that_exist(line: str) -> None:
    _, threat, answer, shown, _ = (part.strip() for part in line.split("|"))
    assert threat
    assert answer
    tests = NAMED.findall(shown)
    assert tests, "name the test that shows it"
    missing = [f"{module}::{name}" for module, name in tests if name not in functions_in(ROOT / module)]
    assert missing == []
