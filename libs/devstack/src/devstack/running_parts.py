"""The processes of a stack: what is written down about them, and how they say whether they are ready."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from devstack.servers.processes import Process, tail

Readiness = tuple[int, dict[str, Any]]
"""Status and JSON of a part's ``/readyz``; status 0 when nothing answers."""


@dataclass(frozen=True)
class PartProcess:
    """One started process.

    Attributes:
        name: Such as ``billing-worker``.
        pid: Its process id.
        started: Its start time as the kernel tells it, so that a reused pid is not mistaken for it.
        log: Where its output goes.
        ops_url: Its internal port, where it says whether it is ready; empty for a simulator, which announces itself.
        unusual: Whether it was started with crash points or settings of its own.
    """

    name: str
    pid: int
    started: int | None
    log: str
    ops_url: str = ""
    unusual: bool = False

    @property
    def process(self) -> Process:
        return Process(self.pid, self.started)

    @property
    def alive(self) -> bool:
        return self.process.alive

    @property
    def last_words(self) -> str:
        return tail(Path(self.log))


def read(path: Path) -> dict[str, PartProcess]:
    """Return what was written down, by name; nothing where there is no such file."""
    if not path.exists():
        return {}
    return {entry["name"]: PartProcess(**entry) for entry in json.loads(path.read_text())}


def write(path: Path, processes: Mapping[str, PartProcess]) -> None:
    """Write them down, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps([asdict(process) for process in processes.values()], indent=1))
    partial.replace(path)


def _client() -> httpx.AsyncClient:
    """A client of internal ports; it loads no certificates, which would cost more than the question."""
    return httpx.AsyncClient(trust_env=False, verify=False, timeout=5)


async def readiness(part: PartProcess) -> Readiness:
    """Ask a part whether it is ready."""
    async with _client() as http:
        return await _asked(http, part)


async def _asked(http: httpx.AsyncClient, part: PartProcess) -> Readiness:
    try:
        answer = await http.get(f"{part.ops_url}/readyz")
    except httpx.HTTPError as error:
        return 0, {"no answer": type(error).__name__}
    return answer.status_code, answer.json()


async def all_ready(parts: Iterable[PartProcess], seconds: float) -> None:
    """Wait until every part is ready.

    Raises:
        RuntimeError: One ended; the message carries its last words.
        TimeoutError: Not within the time; the message tells what is missing.
    """
    missing: dict[PartProcess, Any] = dict.fromkeys(parts, "no answer yet")
    deadline = asyncio.get_running_loop().time() + seconds
    async with _client() as http:
        while missing:
            for part in list(missing):
                if not part.alive:
                    raise RuntimeError(f"{part.name} ended while starting:\n{part.last_words}")
                status, missing[part] = await _asked(http, part)
                if status == httpx.codes.OK:
                    del missing[part]
            if missing and asyncio.get_running_loop().time() > deadline:
                told = {part.name: answer for part, answer in missing.items()}
                raise TimeoutError(f"not ready: {json.dumps(told, indent=1)}")
            await asyncio.sleep(0.1)
