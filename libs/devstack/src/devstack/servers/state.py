"""What a private server's folder remembers between starts: one JSON file, readable by its owner alone."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from devstack.servers.processes import Process


@dataclass
class State:
    """Empty until the first start."""

    user: str = ""
    password: str = ""
    version: str = ""
    ports: dict[str, int] = field(default_factory=dict)
    processes: dict[str, tuple[int, int | None]] = field(default_factory=dict)

    def process(self, name: str) -> Process | None:
        """The named process if it still runs."""
        if name not in self.processes:
            return None
        process = Process(*self.processes[name])
        return process if process.alive else None

    def remember(self, name: str, process: Process) -> None:
        self.processes[name] = (process.pid, process.started)


def load(folder: Path) -> State:
    try:
        return State(**json.loads((folder / "state.json").read_text()))
    except FileNotFoundError:
        return State()


def save(folder: Path, state: State) -> None:
    """Replace the file as a whole, so that a reader never sees half of it."""
    unfinished = folder / f".state.{os.getpid()}"
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        json.dump(asdict(state), stream, indent=1)
    unfinished.rename(folder / "state.json")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time starts or stops the server of a folder; others wait."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
