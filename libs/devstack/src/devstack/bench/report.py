"""What a benchmark found: the bars, their table, and ``bench/latest.json``. How they are measured is in the groups."""

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Op = Literal[">=", "<=", "="]


@dataclass(frozen=True, slots=True)
class Bar:
    """One figure and what it has to be.

    Attributes:
        name: As in docs/design.md.
        group: Whose figure it is.
        value: None when it could not be measured; then ``peer`` says why.
        unit: ``x`` for a ratio.
        op: How the value stands to the bar when it holds.
        bar: What it has to be.
        peer: What it was measured against in the same run, and at which size.
        limiting_stage: What held the measured side up.
        note: Said in the table only: the numbers behind the value.
    """

    name: str
    group: str
    value: float | None
    unit: str
    op: Op
    bar: float
    peer: str
    limiting_stage: str | None = None
    note: str = field(default="", compare=False)

    @property
    def holds(self) -> bool | None:
        """Whether the bar is met; None without a value."""
        if self.value is None:
            return None
        return {">=": self.value >= self.bar, "<=": self.value <= self.bar, "=": self.value == self.bar}[self.op]

    @property
    def verdict(self) -> str:
        return {True: "holds", False: "MISSED", None: "not measured"}[self.holds]

    def entry(self) -> dict[str, Any]:
        """Return the bar's entry in ``bench/latest.json``."""
        values = asdict(self)
        del values["note"]
        return values | {"value": None if self.value is None else round(self.value, 4)}


def missing(bar: Bar, reason: str) -> Bar:
    """Return the bar without a value, and why."""
    return Bar(bar.name, bar.group, None, bar.unit, bar.op, bar.bar, f"not measured: {reason}")


def document(bars: Iterable[Bar], commit: str, machine: dict[str, Any]) -> dict[str, Any]:
    """Return what ``bench/latest.json`` holds."""
    return {"commit": commit, "machine": machine, "bars": [bar.entry() for bar in bars]}


def write(path: Path, found: dict[str, Any]) -> None:
    """Replace the file whole: a reader never meets half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(found, indent=1) + "\n")
    partial.replace(path)


def table(bars: Sequence[Bar]) -> str:
    """Return the bars as a table for people, then against what each was measured."""
    heads = ("group", "name", "value", "bar", "", "limit")
    rows = [heads, *(_row(bar) for bar in bars)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += ["", *(f"{bar.name}: {bar.peer}{f'; {bar.note}' if bar.note else ''}" for bar in bars)]
    return "\n".join(lines)


def _row(bar: Bar) -> tuple[str, ...]:
    value = "null" if bar.value is None else f"{bar.value:.4g} {bar.unit}"
    return bar.group, bar.name, value, f"{bar.op} {bar.bar:g}", bar.verdict, bar.limiting_stage or ""


def commit_of(checkout: Path | None) -> str:
    """Return the checkout's commit, marked when files differ from it; ``unknown`` without git."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        said = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return said.stdout.strip()


def machine() -> dict[str, Any]:
    """Return what the figures depend on: processor, memory, kernel, and how busy it was when the run began."""
    return {
        "cpus": os.cpu_count(),
        "cpu": _field(Path("/proc/cpuinfo"), "model name") or platform.processor(),
        "memory": _field(Path("/proc/meminfo"), "MemTotal"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
    }


def _field(path: Path, name: str) -> str:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
