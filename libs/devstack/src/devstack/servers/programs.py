"""Single programs from Debian's packages that tests and benchmarks stand up for themselves."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from devstack.servers import debian
from devstack.servers.places import tools_folder
from devstack.servers.ports import accepts, free_port
from devstack.servers.processes import wait_until

START_SECONDS = 20.0
STOP_SECONDS = 10.0


@dataclass(frozen=True)
class Program:
    """Where a program is, and what it needs around it."""

    path: str
    environment: Mapping[str, str] = field(default_factory=dict)


def program(name: str, package: str, libraries: str) -> Program:
    """An installed program, else one unpacked from Debian's package without any rights.

    Args:
        name: of the executable.
        package: Debian's.
        libraries: pattern of the packages that it needs besides.

    Raises:
        PackagesUnavailable: neither way led to it; the message tells why.
    """
    if found := shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"):
        return Program(found)
    folder = tools_folder() / name
    if not folder.is_dir():
        debian.unpack(debian.with_dependencies(package, libraries), folder)
    path = next(one for one in (folder / "usr/sbin" / name, folder / "usr/bin" / name) if one.exists())
    places = ":".join(str(one) for one in (*folder.glob("usr/lib/*-linux-gnu*"), *folder.glob("lib/*-linux-gnu*")))
    return Program(str(path), {"LD_LIBRARY_PATH": places})


@contextmanager
def started(wanted: Program, arguments: list[str], log: Path, ready: Callable[[], bool]) -> Iterator[None]:
    """Run a program until the block ends."""
    with log.open("wb") as out:
        child = subprocess.Popen(
            [wanted.path, *arguments],
            env={**os.environ, **wanted.environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    try:
        if not wait_until(ready, START_SECONDS):
            raise RuntimeError(f"{wanted.path} did not start: {log.read_text()[-1000:]}")
        yield
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


PGBOUNCER = """
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = plain
auth_file = {folder}/users.txt
pool_mode = transaction
default_pool_size = {backends}
max_client_conn = 500
"""


@contextmanager
def pgbouncer(folder: Path, host: str, port: int, users: Mapping[str, str], backends: int) -> Iterator[int]:
    """PgBouncer in transaction mode before a PostgreSQL; yields its port.

    Args:
        folder: for its files, which its own user has to read.
        host: of the server.
        port: of the server.
        users: passwords by role.
        backends: connections to the server for each role and database.
    """
    listen = free_port()
    text = PGBOUNCER.format(host=host, port=port, listen=listen, folder=folder, backends=backends)
    (folder / "pgbouncer.ini").write_text(text)
    (folder / "users.txt").write_text("".join(f'"{user}" "{password}"\n' for user, password in users.items()))
    # It does not run as root; its user must be able to come here.
    arguments = ["-u", "nobody"] if os.geteuid() == 0 else []
    found = program("pgbouncer", "pgbouncer", r"^(libevent-.*|libc-ares2)$")
    with started(found, [*arguments, str(folder / "pgbouncer.ini")], folder / "pgbouncer.log", lambda: accepts(listen)):
        yield listen


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """A Redis of our own that keeps nothing; yields its URL."""
    port = free_port()
    options = {"port": port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": str(folder), "databases": 1}
    arguments = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    found = program(
        "redis-server", "redis-server", r"^(redis-tools|libatomic1|libhiredis.*|liblua5\.1-0|liblzf1|lua-.*)$"
    )
    with started(found, arguments, folder / "redis.log", lambda: accepts(port)):
        yield f"redis://127.0.0.1:{port}/0"
