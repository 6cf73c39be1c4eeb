"""What the demo says while it runs, its table, and its report as JSON."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

MIB = 1 << 20


@dataclass
class BackupLine:
    """One backup in the table; sizes in bytes."""

    name: str
    mode: str
    transport: str
    capacity: int
    allocated: int
    read: int
    new: int
    stored: int
    seconds: float
    attempts: int = 1

    @property
    def mib_per_second(self) -> float:
        """Rate at which the source was read."""
        return self.read / MIB / self.seconds if self.seconds else 0.0


@dataclass
class RestoreLine:
    """One restore in the table."""

    name: str
    target: str
    capacity: int
    seconds: float
    identical: bool
    first_difference: int | None = None
    attempts: int = 1

    @property
    def mib_per_second(self) -> float:
        """Rate at which the disk was made, holes and all."""
        return self.capacity / MIB / self.seconds if self.seconds else 0.0


@dataclass
class Report:
    """Everything that the demo found out."""

    backups: list[BackupLine] = field(default_factory=list)
    restores: list[RestoreLine] = field(default_factory=list)
    refusals: dict[str, bool] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    @property
    def good(self) -> bool:
        """Whether every restore was identical and every attempt of the other organization was refused."""
        return (
            bool(self.restores)
            and all(restore.identical for restore in self.restores)
            and bool(self.refusals)
            and all(self.refusals.values())
        )

    @property
    def jobs(self) -> list[BackupLine | RestoreLine]:
        """Every job in the order of the table."""
        return [*self.backups, *self.restores]

    @property
    def further_attempts(self) -> int:
        """Attempts at tasks beyond each task's first."""
        return sum(line.attempts - 1 for line in self.jobs)

    @property
    def seconds_of_steps(self) -> str:
        """How long each step took, in one line."""
        steps = [*self.timings.items(), *((line.name, line.seconds) for line in self.jobs)]
        return ", ".join(f"{name} {seconds:.1f}" for name, seconds in steps)

    def say(self, text: str) -> None:
        """Print one line with the time since the start."""
        sys.stdout.write(f"{time.monotonic() - self.started:6.1f} s  {text}\n")
        sys.stdout.flush()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step under its name."""
        began = time.monotonic()
        yield
        self.timings[name] = round(time.monotonic() - began, 2)

    def table(self) -> str:
        """Return the closing table."""
        head = ("backup", "mode", "transport", "on disk", "allocated", "read", "new", "stored", "MiB/s", "seconds")
        rows = [
            (
                line.name,
                line.mode,
                line.transport,
                *(
                    f"{size / MIB:.1f} MiB"
                    for size in (line.capacity, line.allocated, line.read, line.new, line.stored)
                ),
                f"{line.mib_per_second:.0f}",
                f"{line.seconds:.1f}",
            )
            for line in self.backups
        ]
        restores = ("restore", "target", "on disk", "identical", "MiB/s", "seconds")
        restored = [
            (
                line.name,
                line.target,
                f"{line.capacity / MIB:.1f} MiB",
                "yes" if line.identical else "NO",
                f"{line.mib_per_second:.0f}",
                f"{line.seconds:.1f}",
            )
            for line in self.restores
        ]
        return f"{_columns([head, *rows])}\n\n{_columns([restores, *restored])}"

    def write(self, path: Path) -> None:
        """Write the report as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        body = {
            "good": self.good,
            "seconds": round(time.monotonic() - self.started, 1),
            "backups": [_facts(line) for line in self.backups],
            "restores": [_facts(line) for line in self.restores],
            "other_organization_refused": self.refusals,
            "timings": self.timings,
            **self.facts,
        }
        path.write_text(json.dumps(body, indent=2) + "\n")


def _facts(line: BackupLine | RestoreLine) -> dict[str, Any]:
    return asdict(line) | {"mib_per_second": round(line.mib_per_second, 1)}


def _columns(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)
