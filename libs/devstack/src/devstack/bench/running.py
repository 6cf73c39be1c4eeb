"""A stack as ``make up`` starts it, in its own folder, with a PostgreSQL that tells when a row was committed."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devstack.bench.apart import folder as own_folder
from devstack.servers.postgres import EmbeddedPostgres, PostgresServer

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Running:
    """What a benchmark needs of a running stack."""

    folder: Path
    endpoints: dict[str, Any]
    secrets: dict[str, Any] = field(repr=False)
    postgres: PostgresServer

    @property
    def gateway(self) -> str:
        return str(self.endpoints["gateway"])

    def pid(self, name: str) -> int:
        """Return the process id of a part, such as ``gateway-api``."""
        started = json.loads((self.folder / "up" / "running.json").read_text())
        return next(int(process["pid"]) for process in started if process["name"] == name)

    def address(self, service: str) -> str:
        """Return the address of a service's API, as the gateway's own environment names it."""
        variable = f"GATEWAY_{service.upper().replace('-', '_')}_URL="
        told = Path(f"/proc/{self.pid('gateway-api')}/environ").read_text().split("\0")
        return next(entry.removeprefix(variable) for entry in told if entry.startswith(variable))


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used so far (proc(5), stat: utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def peak_mib(pid: int) -> float:
    """Return the most memory that a process ever had resident (VmHWM)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


@contextmanager
def running(environment: Mapping[str, str] | None = None) -> Iterator[Running]:
    """Start a stack for the block and end it; raises RuntimeError with what ``up`` said when it does not start."""
    with own_folder() as folder:
        server = EmbeddedPostgres(
            folder / "postgres",
            throw_away=True,
            settings={"track_commit_timestamp": "on"},
        )
        with server as postgres:
            told = {"EBM_DEVSTACK_FOLDER": str(folder), "EBM_POSTGRES_URL": postgres.url, **(environment or {})}
            try:
                _devstack("up", told)
                found = json.loads((folder / "endpoints.json").read_text())
                kept = json.loads((folder / "up" / "secrets.json").read_text())
                yield Running(folder, found, kept, postgres)
            finally:
                _devstack("down", told)


def _devstack(way: str, told: Mapping[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "devstack", way],
        env=os.environ | told,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"make {way}: {done.stderr.strip()[-2000:]}")
