"""Every operation has a row in the role matrix, which `tests/e2e/test_role_matrix.py` plays on a running stack."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.invariant("S61")
def test_every_operation_has_a_row_and_every_row_an_operation() -> None:
    matrix = json.loads((ROOT / "tests" / "e2e" / "role_matrix.json").read_text(encoding="utf-8"))
    described = [
        f"{method.upper()} {path}"
        for document in (ROOT / "services").glob("*/contracts/openapi.json")
        for path, item in json.loads(document.read_text(encoding="utf-8"))["paths"].items()
        for method in item
    ]
    assert sorted(matrix) == sorted(described), "declare it in tests/e2e/role_matrix.json"
