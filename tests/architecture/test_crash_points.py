"""Every step at which a process may be told to die has a crash test that makes it die there."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
OWNERS = ("common", "billing", "tenancy", "gateway", "backup-engine")


def text_of(node: ast.AST) -> str | None:
    """Return a text literal; one with computed pieces, as steps of an enumeration have, with ``{}`` for each."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(piece) or "{}" for piece in node.values)
    return None


def reached() -> Iterator[str]:
    for path in [*ROOT.glob("services/*/src/**/*.py"), *ROOT.glob("libs/common/src/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "reach":
                name = text_of(node.args[0])
                assert name is not None, f"{path}: the name of a crash point is a literal"
                yield name


def killed_at() -> set[str]:
    """Return every text of the crash tests that is spelled as a point is."""
    paths = [*ROOT.glob("tests/crashes/*.py"), *ROOT.glob("services/*/tests/integration/test_a_dead_*.py")]
    nodes = (node for path in paths for node in ast.walk(ast.parse(path.read_text())))
    texts = {text for node in nodes if (text := text_of(node)) is not None}
    return {
        text
        for text in texts
        if text.count(".") == 2 and text[-1] != "." and text.startswith(tuple(f"{o}." for o in OWNERS))
    }


def test_every_crash_point_has_one_place_and_one_owner() -> None:
    points = sorted(reached())
    assert points
    assert sorted(set(points)) == points
    assert all(point.split(".")[0] in OWNERS for point in points)


def test_every_crash_point_is_in_a_crash_test() -> None:
    assert set(reached()) - killed_at() == set()


def test_every_point_that_a_crash_test_names_exists() -> None:
    assert killed_at() - set(reached()) == set()
