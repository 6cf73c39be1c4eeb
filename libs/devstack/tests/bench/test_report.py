import json
import subprocess

import pytest
from devstack.bench.report import LATEST, Bar, commit_of, committed, document, missing, write

pytestmark = pytest.mark.unit

HELD = Bar("rls_scan_ratio", "tenancy", 1.04, "x", "<=", 1.1, "superuser", "all rows", note="one 1.01, all 1.04")
MISSED = Bar("full_vs_limit", "data-plane", 0.61234567, "x", ">=", 0.7, "compute", "read")
MACHINE = {"cpus": 2, "cpu": "some"}


@pytest.fixture
def checkout(tmp_path):
    """A repository whose only commit has one measured value."""

    def git(*arguments):
        subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@xyz.example", *arguments], cwd=tmp_path, check=True
        )

    git("init", "-q")
    (tmp_path / "code").write_text("1")
    write(tmp_path / LATEST, document([HELD, missing(MISSED, "no peer")], "abc", MACHINE))
    git("add", ".")
    git("commit", "-q", "-m", "all")
    return tmp_path


def test_the_document_has_the_shape_of_the_design(tmp_path):
    path = tmp_path / "bench" / "latest.json"
    write(path, document([HELD, MISSED], "abc", {"cpus": 2}))
    found = json.loads(path.read_text())
    assert set(found) == {"commit", "machine", "bars"}
    keys = {"name", "group", "value", "unit", "op", "bar", "peer", "limiting_stage"}
    assert [set(bar) for bar in found["bars"]] == [keys, keys]
    assert found["bars"][1]["value"] == 0.6123
    assert list(path.parent.iterdir()) == [path]


def test_a_bar_whose_peer_is_missing_is_null_and_neither_holds_nor_is_missed():
    absent = missing(MISSED, "no restic on PATH")
    assert absent.holds is None
    entry = json.loads(json.dumps(absent.entry))
    assert entry["value"] is None
    assert entry["limiting_stage"] is None
    assert entry["name"] == "full_vs_limit"
    assert "no restic on PATH" in entry["peer"]


@pytest.mark.parametrize(
    ("op", "value", "holds"),
    [(">=", 3, True), (">=", 2.99, False), ("<=", 3, True), ("<=", 3.01, False), ("=", 3, True), ("=", 4, False)],
)
def test_a_bar_holds_as_its_operator_says(op, value, holds):
    assert Bar("name", "group", value, "x", op, 3, "peer").holds is holds


def test_figures_do_not_make_a_commit_look_changed_but_code_does(checkout):
    clean = commit_of(checkout)
    write(checkout / LATEST, document([], "", MACHINE))
    assert commit_of(checkout) == clean
    (checkout / "code").write_text("2")
    assert commit_of(checkout) == f"{clean}-dirty"


def test_a_folder_without_git_has_an_unknown_commit(tmp_path):
    assert commit_of(tmp_path) == "unknown"


def test_the_committed_values_are_read_from_the_commit_and_not_from_the_folder(checkout):
    write(checkout / LATEST, document([MISSED], "def", MACHINE))
    assert committed(checkout, MACHINE) == {"rls_scan_ratio": 1.04}


def test_values_of_another_kind_of_machine_are_not_compared_with(checkout):
    assert committed(checkout, MACHINE | {"cpus": 64}) == {}


def test_where_nothing_was_committed_there_is_nothing_to_compare_with(tmp_path):
    assert committed(tmp_path, MACHINE) == {}
