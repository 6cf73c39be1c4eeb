"""Starting, recognising and ending server processes. Linux first; elsewhere a process cannot be tied to its parent."""

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from devstack.servers.placement import Account, run_as

POLL_SECONDS = 0.02
"""Pause between two looks at a condition: short beside the 0.1 s in which the fastest server starts."""


@dataclass(frozen=True)
class Process:
    """A process by id and start time, so that a later process with the same id is not mistaken for it."""

    pid: int
    started: int | None

    @classmethod
    def of(cls, pid: int) -> "Process":
        return cls(pid, _stat(pid)[1])

    @property
    def alive(self) -> bool:
        state, started = _stat(self.pid)
        return state not in {"", "Z", "X"} and (self.started is None or started in {None, self.started})

    def send(self, number: signal.Signals) -> None:
        """Send a signal; a process that is gone, or another one under the same id, gets none."""
        if not self.alive:
            return
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return

    def end(self, *steps: tuple[signal.Signals, float]) -> bool:
        """Send each signal in turn and wait its seconds; returns whether the process is gone."""
        for number, seconds in steps:
            self.send(number)
            if wait_until(lambda: not self.alive, seconds):
                return True
        return not self.alive

    def children(self) -> list["Process"]:
        """Direct children, as far as /proc tells."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == self.pid:
                found.append(Process.of(int(entry.name)))
        return found


def _stat(pid: int) -> tuple[str, int | None]:
    """State letter ("" when there is no such process) and start time in ticks since boot, where /proc exists."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return fields[0], int(fields[19])
    except OSError:
        if Path("/proc/self/stat").exists():
            return "", None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return "", None
    except PermissionError:
        pass
    return "?", None


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Look at a condition until it holds or the time is over; returns whether it held."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def spawn(
    arguments: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    folder: Path,
    log: Path | None,
    account: Account | None = None,
    tied_by: signal.Signals | None = None,
    told: bytes = b"",
    on_end: Callable[[int], None] = lambda _status: None,
) -> Process:
    """Start a program in a session of its own, its streams in `log` (ours without one).

    With `tied_by` the kernel sends it that signal when this process ends, however it ends. The kernel ties a child to
    the *thread* that started it, so a thread per program starts it and waits for it; that also reaps it, and calls
    `on_end` with its status (negative: the signal that ended it).

    Args:
        arguments: the program and its arguments.
        env: its whole environment.
        folder: its working folder.
        log: what its output is appended to.
        account: who runs it.
        tied_by: see above.
        told: what it reads from its standard input.
        on_end: see above; called from the thread.

    Raises:
        OSError: the program cannot be executed.
    """
    command = [str(part) for part in arguments]
    if tied_by is not None and (setpriv := shutil.which("setpriv", path="/usr/bin:/bin")) is not None:
        command = [setpriv, "--pdeathsig", tied_by.name.removeprefix("SIG"), "--", *command]
    started = threading.Event()
    outcome: list[Process | OSError] = []

    def keep() -> None:
        try:
            with log.open("ab") if log else nullcontext() as stream:
                child = subprocess.Popen(
                    command,
                    env=dict(env),
                    cwd=folder,
                    stdin=subprocess.PIPE if told else subprocess.DEVNULL,
                    stdout=stream,
                    stderr=stream,
                    start_new_session=True,
                    **run_as(account),
                )
            if child.stdin:
                with child.stdin as pipe:
                    pipe.write(told)
        except OSError as error:
            outcome.append(error)
            return
        else:
            outcome.append(Process.of(child.pid))
        finally:
            started.set()
        on_end(child.wait())

    threading.Thread(target=keep, name=f"keeps {Path(command[-1]).name}", daemon=True).start()
    started.wait()
    result = outcome[0]
    if isinstance(result, OSError):
        raise result
    return result


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, for an error message."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"
