"""No float reaches money: a look at the source itself."""

import ast
from pathlib import Path

import billing
import pytest

pytestmark = pytest.mark.unit
SOURCE = Path(billing.__file__).parent


def _modules() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py") if "simul" not in path.parts)


class Floats(ast.NodeVisitor):
    """Collects float literals, ``float(…)``, true division and Decimal-free rounding."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, float):
            self.found.append(f"{node.lineno}: literal {node.value}")

    def visit_Name(self, node: ast.Name) -> None:
        if node.id == "float":
            self.found.append(f"{node.lineno}: float")

    def visit_BinOp(self, node: ast.BinOp) -> None:
        path = isinstance(node.right, ast.Constant) and isinstance(node.right.value, str)
        names = isinstance(node.right, (ast.Name, ast.Attribute, ast.JoinedStr))
        if isinstance(node.op, ast.Div) and not (path or names):
            self.found.append(f"{node.lineno}: true division")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id == "round":
            self.found.append(f"{node.lineno}: round()")
        self.generic_visit(node)


def floats_in(path: Path) -> list[str]:
    visitor = Floats()
    visitor.visit(ast.parse(path.read_text(encoding="utf-8")))
    return visitor.found


MONEY_CODE = [
    path
    for path in _modules()
    if path.relative_to(SOURCE).parts[0] in {"domain", "usecases", "workflows", "persistence", "api", "events.py"}
    or path.name.startswith(("paypal", "mtn_momo", "bank_statements"))
]
DRAWING = SOURCE / "adapters" / "invoice_pdf.py"


@pytest.mark.invariant("S17")
@pytest.mark.parametrize("path", MONEY_CODE, ids=lambda path: str(path.relative_to(SOURCE)))
def test_money_code_holds_no_float(path: Path) -> None:
    assert floats_in(path) == []


@pytest.mark.invariant("S17")
def test_the_sheet_reckons_in_millimetres_and_never_in_amounts() -> None:
    names = {node.attr for node in ast.walk(ast.parse(DRAWING.read_text())) if isinstance(node, ast.Attribute)}
    assert "language" in names
    assert names.isdisjoint({"amount_minor", "decimal", "allocate", "unit_minor", "total_minor"})


@pytest.mark.invariant("S17")
@pytest.mark.parametrize("bad", ["x = 1.5", "x = float(y)", "x = (a + b) / 3", "x = round(y)"])
def test_the_look_finds_floats(bad: str, tmp_path: Path) -> None:
    module = tmp_path / "bad.py"
    module.write_text(bad)
    assert floats_in(module) != []


@pytest.mark.invariant("S17")
def test_every_stored_amount_is_an_integer() -> None:
    from billing.persistence.tables import metadata
    from sqlalchemy import BigInteger, Float, Numeric

    for table in metadata.tables.values():
        for column in table.c:
            assert not isinstance(column.type, (Float, Numeric)), column
            if column.name.endswith("_minor"):
                assert isinstance(column.type, BigInteger), column
