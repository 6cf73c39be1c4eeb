"""`make test-vcsim` says what it lacks, and installs nothing unless it is asked to."""

import sys
from pathlib import Path

import pytest
import test_vcsim


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A system without Go and govmomi, on which nothing may be installed unasked."""

    def refuse(*packages: str) -> None:
        raise AssertionError(packages)

    monkeypatch.setattr(test_vcsim.shutil, "which", lambda _name: None)
    monkeypatch.setattr(test_vcsim, "GO_FOLDERS", tmp_path)
    monkeypatch.setattr(test_vcsim, "LIBRARIES", tmp_path)
    monkeypatch.setattr(test_vcsim, "install", refuse)
    monkeypatch.setattr(test_vcsim, "end_on_signals", lambda: None)
    monkeypatch.setattr(sys, "argv", ["test_vcsim.py"])
    return tmp_path


def test_what_is_missing_is_named_and_not_installed(bare, capsys) -> None:
    assert test_vcsim.main() == 3
    assert "apt-get install golang-1.19-go golang-github-vmware-govmomi-dev" in capsys.readouterr().out


def test_an_installation_that_fails_is_no_success(bare, monkeypatch, capsys) -> None:
    def fail(*_packages: str) -> None:
        raise test_vcsim.PackagesUnavailable("only root can")

    monkeypatch.setattr(test_vcsim, "install", fail)
    monkeypatch.setattr(sys, "argv", ["test_vcsim.py", "--install"])
    assert test_vcsim.main() == 3
    assert "could not be installed: only root can" in capsys.readouterr().out


def test_the_newest_go_of_debian_is_taken(bare) -> None:
    for version in ("1.9", "1.19"):
        (bare / f"go-{version}/bin").mkdir(parents=True)
        (bare / f"go-{version}/bin/go").touch()
    assert test_vcsim._go() == str(bare / "go-1.19/bin/go")
