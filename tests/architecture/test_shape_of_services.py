"""Who opens a transaction is seen by the folder: edges and workflows do, use cases are called inside one (ADR 0005)."""

import ast
from pathlib import Path

import pytest

SOURCES = sorted((Path(__file__).parents[2] / "services").glob("*/src/*"))
DOORS = {"for_tenant", "for_user", "for_system"}


def doors_opened(module: Path) -> set[str]:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & DOORS


@pytest.mark.parametrize("package", SOURCES, ids=lambda folder: folder.name)
def test_below_the_workflows_nothing_opens_a_transaction(package: Path) -> None:
    inner = [module for part in ("usecases", "persistence", "domain") for module in (package / part).rglob("*.py")]
    assert [str(module) for module in inner if doors_opened(module)] == []


def test_the_rule_is_looked_for_where_there_is_something_to_find() -> None:
    opened = [module for package in SOURCES for module in (package / "workflows").rglob("*.py") if doors_opened(module)]
    assert len(opened) > 3
