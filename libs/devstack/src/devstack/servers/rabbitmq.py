"""A private RabbitMQ node: its own folder, ports and epmd, loopback only, any user, no service of the system touched.

The node, its epmd and the credentials belong to the folder. Tests that kill a broker use one of these.
"""

import base64
import json
import os
import secrets
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from devstack.servers import state as states
from devstack.servers.errors import ServerDidNotStart, ServerUnreachable
from devstack.servers.places import tools_folder
from devstack.servers.ports import LOOPBACK, accepts, kept_or_free
from devstack.servers.processes import Process, spawn, tail, wait_until
from devstack.servers.rabbitmq_programs import RabbitPrograms, rabbit_programs

URL_SETTING = "EBM_RABBITMQ_URL"
MANAGEMENT_URL_SETTING = "EBM_RABBITMQ_MANAGEMENT_URL"
USER = "ebm"
NODE_NAME = "ebm@localhost"
START_SECONDS = 120.0
"""A start was measured at 3 to 10 s on two busy cores; ten times that is a hang."""
STOP_STEPS = ((signal.SIGTERM, 60.0), (signal.SIGKILL, 10.0))
START_ATTEMPTS = 3


@dataclass(frozen=True)
class RabbitServer:
    """A running broker, one user and one virtual host of it."""

    host: str
    port: int
    management_url: str
    user: str
    password: str = field(repr=False)
    vhost: str = "/"
    version: str = ""
    pid: int | None = None

    @property
    def url(self) -> str:
        return self.url_for(self.user, self.password)

    def url_for(self, user: str, password: str) -> str:
        login = f"{quote(user, safe='')}:{quote(password, safe='')}"
        return f"amqp://{login}@{self.host}:{self.port}/{quote(self.vhost, safe='')}"

    @classmethod
    def found(cls, url: str, management_url: str) -> "RabbitServer":
        """The broker that the URLs name; the management API takes the credentials of the first.

        Raises:
            ServerUnreachable: the management API does not answer or refuses the credentials.
        """
        parts = urlsplit(url)
        server = cls(
            host=parts.hostname or LOOPBACK,
            port=parts.port or 5672,
            management_url=management_url.rstrip("/"),
            user=unquote(parts.username or "guest"),
            password=unquote(parts.password or "guest"),
            vhost=unquote(parts.path[1:]) or "/",
        )
        return replace(server, version=str(server.ask("GET", "overview")["rabbitmq_version"]))

    def add_user(self, name: str, password: str, configure: str = ".*", write: str = ".*", read: str = ".*") -> None:
        """Add a user with these permissions (regular expressions) in this virtual host, or set them anew."""
        self.ask("PUT", f"users/{quote(name, safe='')}", {"password": password, "tags": ""})
        permissions = {"configure": configure, "write": write, "read": read}
        self.ask("PUT", f"permissions/{quote(self.vhost, safe='')}/{quote(name, safe='')}", permissions)

    def add_vhost(self, name: str) -> "RabbitServer":
        """A virtual host of its own, in which this user may do everything."""
        self.ask("PUT", f"vhosts/{quote(name, safe='')}", {})
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        self.ask("PUT", f"permissions/{quote(name, safe='')}/{quote(self.user, safe='')}", everything)
        return replace(self, vhost=name)

    def delete_vhost(self, name: str) -> None:
        self.ask("DELETE", f"vhosts/{quote(name, safe='')}")

    def ask(self, method: str, path: str, body: dict[str, str] | None = None) -> dict[str, Any]:
        """One request to the management API; an empty answer is an empty dictionary.

        Raises:
            ServerUnreachable: no answer within 10 s, or an answer above 399.
        """
        login = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        request = urllib.request.Request(
            f"{self.management_url}/api/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Basic {login}", "Content-Type": "application/json"},
        )
        try:
            # No proxy of the environment: the broker is ours and near.
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(request, timeout=10) as answer:
                content = answer.read()
        except (OSError, urllib.error.HTTPError) as error:
            raise ServerUnreachable(f"RabbitMQ at {self.management_url}: {error}") from error
        return dict(json.loads(content)) if content else {}


class RabbitNode:
    """The node of one folder; two objects for the same folder mean the same node.

    Args:
        folder: state, logs and messages; made when missing.
        port: None takes the port of the previous start when free, else any free one.
        management_port: likewise.
        tied: the node ends when this process ends.
        throw_away: `stop` deletes the folder.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        management_port: int | None = None,
        tied: bool = True,
        throw_away: bool = False,
        programs: RabbitPrograms | None = None,
    ) -> None:
        self._folder = folder.absolute()
        self._wanted = {
            "amqp": port,
            "management": management_port,
            "prometheus": None,
            "distribution": None,
            "epmd": None,
        }
        self._tied = tied
        self._throw_away = throw_away
        self._programs = programs

    def start(self) -> RabbitServer:
        """Start the node, or return the running one. Messages, users and password are those of the previous start.

        Raises:
            RabbitUnavailable: there is no RabbitMQ to be had.
            ServerDidNotStart: with the end of the log.
        """
        with states.locked(self._folder):
            state = states.load(self._folder)
            if state.process("node") is not None:
                return _server(state)
            programs = self._found_programs()
            self._end_epmd(state)
            if not state.password:
                state.user, state.password = USER, secrets.token_urlsafe(24)
            for attempt in range(START_ATTEMPTS):
                self._choose_ports(state, keep=attempt == 0)
                if self._launch(programs, state):
                    return _server(state)
                if not _lost_a_port(self._log):
                    break
            raise ServerDidNotStart(f"RabbitMQ did not start:\n{tail(self._log)}")

    def running(self) -> RabbitServer | None:
        """The server of this folder if its node runs, whoever started it."""
        state = states.load(self._folder)
        return _server(state) if state.process("node") is not None and state.version else None

    def stop(self) -> None:
        """End the node and its epmd (from any process) and wait; nothing happens when they do not run."""
        with states.locked(self._folder):
            state = states.load(self._folder)
            node = state.process("node")
            if node is not None and not node.end(*STOP_STEPS):
                raise ServerDidNotStart(f"RabbitMQ (process {node.pid}) does not end")
            self._end_epmd(state)
            if self._throw_away:
                shutil.rmtree(self._folder, ignore_errors=True)

    def kill(self) -> None:
        """End the node as a crash does. Call `sync_quorum` before if a quorum queue was declared recently."""
        state = states.load(self._folder)
        if (node := state.process("node")) is not None:
            node.end((signal.SIGKILL, 10.0))
        self._end_epmd(state)

    def sync_quorum(self) -> None:
        """Write the tables that name the quorum queues to disk.

        RabbitMQ 3.10 saves them now and then only: a node killed soon after a declaration forgets the queue.
        """
        self.control("eval", "[dets:sync(T) || T <- dets:all()].")

    def control(self, *arguments: str) -> str:
        """Run `rabbitmqctl` for this node; returns what it printed.

        Raises:
            ServerUnreachable: it failed; the message carries its last words.
        """
        programs = self._found_programs()
        done = subprocess.run(
            [programs.scripts / "rabbitmqctl", "-q", *arguments],
            env=self._environment(programs, states.load(self._folder)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if done.returncode != 0:
            raise ServerUnreachable(f"rabbitmqctl {arguments[0]}: {(done.stderr or done.stdout).strip()[-500:]}")
        return done.stdout

    def add_user(self, name: str, password: str, configure: str = ".*", write: str = ".*", read: str = ".*") -> None:
        """As `RabbitServer.add_user`, in the node's default virtual host."""
        _server(states.load(self._folder)).add_user(name, password, configure, write, read)

    def __enter__(self) -> RabbitServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _log(self) -> Path:
        return self._folder / "log" / "output"

    def _found_programs(self) -> RabbitPrograms:
        self._programs = self._programs or rabbit_programs(tools_folder())
        return self._programs

    def _choose_ports(self, state: states.State, *, keep: bool) -> None:
        for name in ("amqp", "management", "prometheus", "distribution", "epmd"):
            state.ports[name] = kept_or_free(self._wanted.get(name), state.ports.get(name) if keep else None)

    def _launch(self, programs: RabbitPrograms, state: states.State) -> bool:
        """Start epmd and the node; whether all its doors opened. What was started and failed is ended."""
        self._write_configuration(state)
        self._log.unlink(missing_ok=True)
        environment = self._environment(programs, state)
        state.version = ""
        commands: dict[str, list[str | Path]] = {
            # A node without an epmd starts one that outlives it. This one is a child like the node.
            "epmd": [programs.erlang / "epmd", "-address", LOOPBACK, "-port", str(state.ports["epmd"])],
            "node": [programs.scripts / "rabbitmq-server"],
        }
        tied_by = signal.SIGTERM if self._tied else None
        for name, command in commands.items():
            process = spawn(command, env=environment, folder=self._folder, log=self._log, tied_by=tied_by)
            state.remember(name, process)
            states.save(self._folder, state)
            if name == "epmd":
                wait_until(lambda: accepts(state.ports["epmd"]) or state.process("epmd") is None, 10)
        wait_until(lambda: state.process("node") is None or self._is_ready(state), START_SECONDS)
        if state.process("node") is not None and state.version:
            states.save(self._folder, state)
            return True
        Process(*state.processes["node"]).end(*STOP_STEPS)
        self._end_epmd(state)
        return False

    def _is_ready(self, state: states.State) -> bool:
        """Whether all doors are open; learns the version from the management API.

        The metrics open last: a node that cannot have their port ends again when the others have long been open.
        """
        if not all(accepts(state.ports[door]) for door in ("amqp", "management", "prometheus")):
            return False
        try:
            state.version = str(_server(state).ask("GET", "overview")["rabbitmq_version"])
        except (ServerUnreachable, KeyError):
            return False
        return True

    def _end_epmd(self, state: states.State) -> None:
        if (epmd := state.process("epmd")) is not None:
            epmd.end((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))

    def _write_configuration(self, state: states.State) -> None:
        for name in ("mnesia", "log", "home"):
            (self._folder / name).mkdir(mode=0o700, exist_ok=True)
        ports = state.ports
        settings = {
            "listeners.tcp.1": f"{LOOPBACK}:{ports['amqp']}",
            "management.tcp.ip": LOOPBACK,
            "management.tcp.port": ports["management"],
            "prometheus.tcp.ip": LOOPBACK,
            "prometheus.tcp.port": ports["prometheus"],
            "disk_free_limit.absolute": "200MB",
            "default_user": state.user,
            "default_pass": state.password,
            "log.file": "node.log",
        }
        lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
        _write_privately(self._folder / "rabbitmq.conf", lines)
        _write_privately(self._folder / "advanced.config", "[{kernel,[{inet_dist_use_interface,{127,0,0,1}}]}].\n")
        _write_privately(self._folder / "enabled_plugins", "[rabbitmq_management,rabbitmq_prometheus].\n")
        cookie = self._folder / "home" / ".erlang.cookie"
        if not cookie.exists():
            _write_privately(cookie, secrets.token_hex(16), mode=0o400)

    def _environment(self, programs: RabbitPrograms, state: states.State) -> dict[str, str]:
        folder, ports = self._folder, state.ports
        return {
            **programs.environment,
            "HOME": str(folder / "home"),
            "HOSTNAME": "localhost",
            "RABBITMQ_NODENAME": NODE_NAME,
            "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
            "RABBITMQ_NODE_PORT": str(ports["amqp"]),
            "RABBITMQ_DIST_PORT": str(ports["distribution"]),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            # Makes the script become the node instead of a shell that waits for it: one process to signal.
            "RUNNING_UNDER_SYSTEMD": "true",
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_EPMD_PORT": str(ports["epmd"]),
            # Idle schedulers sleep instead of spinning: many parts share few cores here.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} "
            "+sbwt none +sbwtdcpu none +sbwtdio none",
        }


@contextmanager
def rabbitmq(folder: Path, *, tied: bool = True, throw_away: bool = False) -> Iterator[RabbitServer]:
    """The broker that EBM_RABBITMQ_URL names, never stopped by us; else a private node while the block lasts."""
    if url := os.environ.get(URL_SETTING):
        yield found_by_environment(url)
        return
    with RabbitNode(folder, tied=tied, throw_away=throw_away) as server:
        yield server


def found_by_environment(url: str) -> RabbitServer:
    """The broker of the environment; its management API is at its usual port unless named.

    Raises:
        ServerUnreachable: it does not answer.
    """
    usual = f"http://{urlsplit(url).hostname}:15672"
    return RabbitServer.found(url, os.environ.get(MANAGEMENT_URL_SETTING, usual))


def _server(state: states.State) -> RabbitServer:
    return RabbitServer(
        host=LOOPBACK,
        port=state.ports["amqp"],
        management_url=f"http://{LOOPBACK}:{state.ports['management']}",
        user=state.user,
        password=state.password,
        version=state.version,
        pid=state.processes["node"][0],
    )


def _write_privately(path: Path, text: str, mode: int = 0o600) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as stream:
        stream.write(text)


def _lost_a_port(log: Path) -> bool:
    return "eaddrinuse" in tail(log, 200) or "already in use" in tail(log, 200)
