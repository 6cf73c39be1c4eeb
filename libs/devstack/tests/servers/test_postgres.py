"""The embedded PostgreSQL: who it runs as, what it keeps, and that it leaves nothing behind."""

import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest
from devstack.servers import placement
from devstack.servers.errors import ServerDidNotStart, ServerUnreachable
from devstack.servers.postgres import EmbeddedPostgres, PostgresServer, postgres
from devstack.servers.processes import Process, wait_until

RunAsNobody = Callable[[str], subprocess.CompletedProcess[str]]
AS_ROOT = os.geteuid() == 0


def embedded(folder: Path, **settings: bool) -> EmbeddedPostgres:
    return EmbeddedPostgres(folder, **{"fsync": False, "throw_away": True, **settings})


async def ask(server: PostgresServer, question: str) -> object:
    connection = await asyncpg.connect(server.url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def test_it_answers_with_its_password_on_the_loopback_address_alone(tmp_path: Path) -> None:
    with embedded(tmp_path / "pg") as server:
        assert server.version == await ask(server, "SHOW server_version")
        assert await ask(server, "SHOW listen_addresses") == "127.0.0.1"
        assert await ask(server, "SHOW unix_socket_directories") == ""
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(server.url_for("postgres", password="wrong"))


async def test_data_password_and_port_outlive_a_stop(tmp_path: Path) -> None:
    node = embedded(tmp_path / "pg", throw_away=False)
    first = node.start()
    await ask(first, "CREATE TABLE kept AS SELECT 42 AS answer")
    node.stop()
    assert node.running() is None
    second = node.start()
    try:
        assert (second.password, second.port) == (first.password, first.port)
        assert await ask(second, "SELECT answer FROM kept") == 42
    finally:
        embedded(tmp_path / "pg").stop()


async def test_committed_data_outlives_a_crash(tmp_path: Path) -> None:
    node = EmbeddedPostgres(tmp_path / "pg", throw_away=True)
    await ask(node.start(), "CREATE TABLE kept AS SELECT 42 AS answer")
    node.kill()
    assert node.running() is None
    with node as again:
        assert await ask(again, "SELECT answer FROM kept") == 42


def test_a_second_start_finds_the_running_server(tmp_path: Path) -> None:
    with embedded(tmp_path / "pg") as server:
        assert embedded(tmp_path / "pg").start() == server


def test_a_pid_file_that_names_another_process_does_not_stop_the_start(tmp_path: Path) -> None:
    node = embedded(tmp_path / "pg", throw_away=False)
    node.start()
    node.stop()
    data = placement.data_folder(tmp_path / "pg", placement.unprivileged_account()) / "data"
    # The shape that a crash leaves, with the id of a live process of the same machine: this one.
    (data / "postmaster.pid").write_text(f"{os.getpid()}\n{data}\n1\n5432\n\n127.0.0.1\n\nready   \n")
    assert node.start().pid != os.getpid()
    embedded(tmp_path / "pg").stop()


def test_throwing_away_leaves_no_file(tmp_path: Path) -> None:
    with embedded(tmp_path / "pg"):
        data = placement.data_folder(tmp_path / "pg", placement.unprivileged_account()) / "data"
        assert data.is_dir()
    assert not data.exists()
    assert not (tmp_path / "pg").exists()


def test_a_taken_port_is_reported_with_the_log(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        node = EmbeddedPostgres(tmp_path / "pg", port=taken.getsockname()[1], fsync=False, throw_away=True)
        with pytest.raises(ServerDidNotStart, match="could not bind"):
            node.start()
        node.stop()


def test_the_environment_names_a_server_that_is_not_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with embedded(tmp_path / "pg") as server:
        monkeypatch.setenv("EBM_POSTGRES_URL", server.url)
        with postgres(tmp_path / "unused") as found:
            assert (found.port, found.version) == (server.port, server.version)
        assert not (tmp_path / "unused").exists()
        assert PostgresServer.found(server.url).version == server.version


def test_a_url_that_nobody_answers_is_an_error_of_ours() -> None:
    with pytest.raises(ServerUnreachable, match=r"127\.0\.0\.1:1"):
        PostgresServer.found("postgresql://nobody:x@127.0.0.1:1/postgres")


def test_it_ends_when_the_process_that_started_it_is_killed(tmp_path: Path) -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("only Linux can tie a process to its parent")
    program = (
        "import sys, pathlib\n"
        "from devstack.servers.postgres import EmbeddedPostgres\n"
        "print(EmbeddedPostgres(pathlib.Path(sys.argv[1]), fsync=False).start().pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "pg")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        server = Process.of(int(parent.stdout.readline()))
        assert server.alive
        parent.send_signal(signal.SIGKILL)
    assert wait_until(lambda: not server.alive, 20)
    embedded(tmp_path / "pg").stop()


@pytest.mark.skipif(not AS_ROOT, reason="only root drops its rights")
def test_root_runs_it_as_nobody_from_a_folder_that_only_root_can_enter(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with embedded(closed / "clone" / "pg") as server:
        assert server.pid is not None
        assert Path(f"/proc/{server.pid}").stat().st_uid == pwd.getpwnam("nobody").pw_uid
        placed = Path(f"/proc/{server.pid}/cwd").readlink()
        assert not placed.is_relative_to(tmp_path)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert not placed.exists()


@pytest.mark.skipif(not AS_ROOT, reason="only root drops its rights")
def test_programs_out_of_reach_are_copied_whole_and_removed_by_their_origin(tmp_path: Path) -> None:
    account = placement.unprivileged_account()
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for name in ("programs", "libraries"):
        (closed / name).mkdir()
    program = closed / "programs" / "answer"
    program.write_text('#!/bin/sh\nexec cat "$(dirname "$0")/../libraries/version"\n')
    program.chmod(0o700)
    (closed / "libraries" / "version").write_text("1\n")
    there = placement.reachable_programs([closed / "programs", closed / "libraries"], "programs/answer", account)
    assert account is not None
    assert account.can(there / "programs/answer", "--version")
    assert not account.can(program, "--version")
    assert there in placement.remove_placed(closed)
    assert not there.exists()


@pytest.mark.skipif(not AS_ROOT, reason="only root can become another user")
def test_an_unprivileged_user_runs_it_as_himself(run_as_nobody: RunAsNobody) -> None:
    program = (
        "import sys, pathlib\n"
        "from devstack.servers.postgres import EmbeddedPostgres\n"
        "with EmbeddedPostgres(pathlib.Path(sys.argv[1]) / 'pg', fsync=False, throw_away=True) as server:\n"
        "    print(pathlib.Path(f'/proc/{server.pid}').stat().st_uid)\n"
    )
    said = run_as_nobody(program)
    assert (said.stdout.strip(), said.returncode) == (str(pwd.getpwnam("nobody").pw_uid), 0), said.stderr
