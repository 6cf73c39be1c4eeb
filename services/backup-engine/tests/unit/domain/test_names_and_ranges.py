"""Names of snapshots, ranges of downloads, sealed passwords, problems."""

import pytest
from backup_engine.adapters.secret_box import AesSecretBox
from backup_engine.api.ranges import ByteRange, content_headers, wanted_range
from backup_engine.domain.problem import problem_of, shown
from backup_engine.domain.snapshot import SnapshotName
from backup_engine.errors import CredentialsUnreadable, QuotaReached
from common.ids import uuid7
from hypothesis import given
from hypothesis import strategies as st


@given(st.from_regex(r"[a-z0-9]{4,32}", fullmatch=True), st.uuids(), st.integers(0, 10**18 - 1))
def test_a_snapshots_name_says_whose_it_is(deployment: str, task, token: int) -> None:
    name = SnapshotName(deployment, task, token)
    assert SnapshotName.parse(str(name)) == name
    assert len(str(name)) <= 80 + 8


@pytest.mark.parametrize("name", ["", "before update", "ebm-test", "ebm-test-1-2", "VEEAM BACKUP TEMPORARY SNAPSHOT"])
def test_other_peoples_snapshots_are_not_ours(name: str) -> None:
    assert SnapshotName.parse(name) is None


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, ByteRange(0, 100, 100, partial=False)),
        ("bytes=0-9", ByteRange(0, 10, 100, partial=True)),
        ("bytes=90-", ByteRange(90, 10, 100, partial=True)),
        ("bytes=-5", ByteRange(95, 5, 100, partial=True)),
        ("bytes=50-1000", ByteRange(50, 50, 100, partial=True)),
        ("bytes=100-", None),
        ("bytes=-0", None),
        ("bytes=9-5", ByteRange(0, 100, 100, partial=False)),
        ("bytes=0-1,4-5", ByteRange(0, 100, 100, partial=False)),
        ("items=0-1", ByteRange(0, 100, 100, partial=False)),
    ],
)
def test_one_range_is_honoured_and_anything_else_answered_whole(header: str | None, expected: ByteRange | None) -> None:
    assert wanted_range(header, None, '"e"', 100) == expected


def test_a_range_of_another_version_is_answered_whole() -> None:
    assert wanted_range("bytes=0-9", '"old"', '"new"', 100) == ByteRange(0, 100, 100, partial=False)


def test_a_file_name_of_any_letters_survives() -> None:
    headers = content_headers(ByteRange(0, 1, 1, partial=False), '"e"', 'sauvegarde «é»"\r\n.raw')
    assert "\r" not in headers["Content-Disposition"]
    assert headers["Content-Disposition"].startswith("attachment; filename*=UTF-8''sauvegarde%20")


def test_a_password_opens_only_for_its_own_row_and_key() -> None:
    box, row = AesSecretBox("k" * 32), uuid7().bytes
    sealed = box.seal("geheim", row)
    assert b"geheim" not in sealed
    assert box.open(sealed, row) == "geheim"
    for other_box, context in ((box, uuid7().bytes), (AesSecretBox("l" * 32), row)):
        with pytest.raises(CredentialsUnreadable):
            other_box.open(sealed, context)


def test_a_stored_problem_is_shown_in_the_readers_language() -> None:
    problem = problem_of(QuotaReached(resource="vms", limit=10, current=10))
    assert shown(problem, "fr")["detail"].startswith("Limite de 10 machine(s) virtuelle(s) atteinte.")
    assert shown(problem, "en")["code"] == "quota_reached"
    assert shown(problem, "en")["limit"] == 10


def test_an_error_that_nobody_foresaw_shows_its_type_and_nothing_else() -> None:
    problem = problem_of(RuntimeError("password=hunter2"))
    assert problem["code"] == "internal_error"
    assert "hunter2" not in str(problem)
