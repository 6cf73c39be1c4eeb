"""A fact is applied once because an inbox recognises it; so nothing in a service may take facts from a broker itself."""

import ast
from pathlib import Path

import pytest

SOURCES = sorted((Path(__file__).parents[2] / "services").glob("*/src/*"))


def calls(package: Path, name: str) -> list[str]:
    """Return the modules that call ``name``, as a function or as a method; test kits apart."""
    return [
        module.name
        for module in package.rglob("*.py")
        if "testing" not in module.relative_to(package).parts[0]
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and name in {getattr(node.func, "id", ""), getattr(node.func, "attr", "")}
    ]


@pytest.mark.invariant("S45")
@pytest.mark.parametrize("package", SOURCES, ids=lambda folder: folder.name)
def test_no_service_takes_facts_past_its_inbox(package: Path) -> None:
    assert calls(package, "subscribe") == []
    if (package / "messaging").is_dir():
        assert calls(package, "event_parts") == ["bootstrap.py"], "which binds every subscription to the inbox"
