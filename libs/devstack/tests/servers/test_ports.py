"""Ports for servers that bind later: nobody else gets the same one meanwhile."""

import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from devstack.servers import ports

ASK = "from devstack.servers.ports import free_port; print(*(free_port() for _ in range(50)))"


def test_processes_that_ask_at_once_get_different_ports() -> None:
    asking = [subprocess.Popen([sys.executable, "-c", ASK], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    given = [port for process in asking for port in process.communicate(timeout=60)[0].split()]
    assert len(given) == 200
    assert len(set(given)) == len(given)


def test_the_kernel_lends_none_of_them_to_a_connection() -> None:
    first_lent = int(ports.LENT.read_text().split()[0])
    if first_lent < ports.FIRST + ports.FEWEST:
        assert ports.free_port() >= 65_535 - ports.FEWEST
    else:
        assert ports.FIRST <= ports.free_port() < first_lent


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Turns of this test's own: it looks at which port is next."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path


def test_a_port_that_somebody_listens_on_is_passed_over(alone: Path) -> None:
    before = ports.free_port()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((ports.LOOPBACK, before + 1))
        taken.listen()
        assert ports.free_port() > before + 1


@pytest.mark.parametrize("written", ["", "not a number", "999999999"])
def test_turns_that_cannot_be_read_begin_anew(alone: Path, written: str) -> None:
    ports._turns().write_text(written)
    first, second = ports.free_port(), ports.free_port()
    assert first != second
    assert ports.is_free(first)
