import json
import subprocess
from dataclasses import replace
from datetime import date

import pytest
from devstack.bench.report import LATEST, Bar, beside, commit_of, committed, document, missing, write

pytestmark = pytest.mark.unit

HELD = Bar("rls_scan_ratio", "tenancy", 1.04, "x", "<=", 1.1, "superuser", "all rows", note="one 1.01, all 1.04")
MISSED = Bar("full_vs_limit", "data-plane", 0.61234567, "x", ">=", 0.7, "compute", "read")
DAY = date(2026, 11, 23)
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
    write(tmp_path / LATEST, document([HELD, missing(MISSED, "no peer")], "abc", MACHINE, DAY))
    git("add", ".")
    git("commit", "-q", "-m", "all")
    return tmp_path


def test_the_document_has_the_shape_of_the_design(tmp_path):
    path = tmp_path / "bench" / "latest.json"
    write(path, document([HELD, MISSED], "abc", {"cpus": 2}, DAY))
    found = json.loads(path.read_text())
    assert set(found) == {"commit", "machine", "bars"}
    keys = {"name", "group", "value", "unit", "op", "bar", "peer", "limiting_stage", "commit", "measured_on"}
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
    write(checkout / LATEST, document([], "", MACHINE, DAY))
    assert commit_of(checkout) == clean
    (checkout / "code").write_text("2")
    assert commit_of(checkout) == f"{clean}-dirty"


def test_a_folder_without_git_has_an_unknown_commit(tmp_path):
    assert commit_of(tmp_path) == "unknown"


def test_the_committed_values_are_read_from_the_commit_and_not_from_the_folder(checkout):
    write(checkout / LATEST, document([MISSED], "def", MACHINE, DAY))
    assert committed(checkout, MACHINE) == {"rls_scan_ratio": 1.04}


def test_values_of_another_kind_of_machine_are_not_compared_with(checkout):
    assert committed(checkout, MACHINE | {"cpus": 64}) == {}


def test_where_nothing_was_committed_there_is_nothing_to_compare_with(tmp_path):
    assert committed(tmp_path, MACHINE) == {}


LATER = date(2026, 11, 24)
ORDER = ("full_vs_limit", "rls_scan_ratio")


def test_a_run_of_one_group_leaves_the_others_with_their_commit_and_day(tmp_path):
    path = tmp_path / "latest.json"
    write(path, document([MISSED, HELD], "abc", MACHINE, DAY))
    found = beside(document([replace(HELD, value=1.0)], "def", MACHINE, LATER), path, ORDER)
    assert [(bar["name"], bar["value"], bar["commit"], bar["measured_on"]) for bar in found["bars"]] == [
        ("full_vs_limit", 0.6123, "abc", "2026-11-23"),
        ("rls_scan_ratio", 1.0, "def", "2026-11-24"),
    ]
    assert found["commit"] == "def"


def test_a_figure_that_could_not_be_measured_again_does_not_show_its_old_value(tmp_path):
    path = tmp_path / "latest.json"
    write(path, document([HELD], "abc", MACHINE, DAY))
    found = beside(document([missing(HELD, "it broke")], "def", MACHINE, LATER), path, ORDER)
    assert [bar["value"] for bar in found["bars"]] == [None]


def test_figures_of_another_kind_of_machine_and_of_other_times_are_left_out(tmp_path):
    path = tmp_path / "latest.json"
    write(path, document([MISSED], "abc", MACHINE | {"cpus": 64}, DAY))
    assert beside(document([HELD], "def", MACHINE, LATER), path, ORDER)["bars"] == [
        HELD.entry | {"commit": "def", "measured_on": "2026-11-24"}
    ]
    write(path, document([MISSED], "abc", MACHINE, DAY))
    assert len(beside(document([HELD], "def", MACHINE, LATER), path, ("rls_scan_ratio",))["bars"]) == 1


def test_a_file_from_before_bars_had_days_is_kept_with_its_commit(tmp_path):
    path = tmp_path / "latest.json"
    write(path, {"commit": "abc", "machine": MACHINE, "bars": [MISSED.entry]})
    kept = beside(document([HELD], "def", MACHINE, LATER), path, ORDER)["bars"][0]
    assert (kept["name"], kept["commit"], kept["measured_on"]) == ("full_vs_limit", "abc", None)


def test_without_an_earlier_file_there_is_what_was_measured(tmp_path):
    found = document([HELD], "def", MACHINE, LATER)
    assert beside(found, tmp_path / "none.json", ORDER) == found
