"""What a benchmark found: the bars, how they are written down and compared. How they are measured is in the groups."""

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, Literal

Op = Literal[">=", "<=", "="]
LATEST = Path("bench", "latest.json")
"""What a run at the design's sizes writes. Committed with the figures that a release or a change claims."""
TRIAL = Path("bench", "trial.json")
"""What any smaller run writes; git holds none of it."""


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
        holds_now: A miss is a failure of the run; elsewhere it is a finding.
    """

    name: str
    group: str
    value: float | None
    unit: str
    op: Op
    bar: float
    peer: str = ""
    limiting_stage: str | None = None
    note: str = field(default="", compare=False)
    holds_now: bool = field(default=False, compare=False)

    @property
    def holds(self) -> bool | None:
        """Whether the bar is met; None without a value."""
        if self.value is None:
            return None
        return {">=": self.value >= self.bar, "<=": self.value <= self.bar, "=": self.value == self.bar}[self.op]

    @property
    def entry(self) -> dict[str, Any]:
        """The bar as ``bench/latest.json`` has it."""
        values = asdict(self)
        del values["note"], values["holds_now"]
        return values | {"value": None if self.value is None else round(self.value, 4)}


def missing(bar: Bar, reason: str) -> Bar:
    """Return the bar without a value, and why."""
    return replace(bar, value=None, peer=f"not measured: {reason}", limiting_stage=None, note="")


def document(bars: Iterable[Bar], commit: str, machine: dict[str, Any], measured_on: date) -> dict[str, Any]:
    """Return what ``bench/latest.json`` holds: each bar says at which commit and on which day it was measured."""
    when = {"commit": commit, "measured_on": measured_on.isoformat()}
    return {"commit": commit, "machine": machine, "bars": [bar.entry | when for bar in bars]}


def beside(found: dict[str, Any], path: Path, order: Sequence[str]) -> dict[str, Any]:
    """Return a document with the bars that it has not and an earlier one at ``path`` has, in an order of names.

    A run of one group so leaves the other groups' figures as they were measured. Those of another kind of machine, and
    those whose name is not in the order any more, are left out.
    """
    earlier = _alike(path, found["machine"])
    unsaid = {"commit": earlier.get("commit", "unknown"), "measured_on": None}
    bars = {bar["name"]: unsaid | bar for bar in earlier.get("bars", [])} | {bar["name"]: bar for bar in found["bars"]}
    return found | {"bars": [bars[name] for name in order if name in bars]}


def _alike(path: Path, machine: dict[str, Any]) -> dict[str, Any]:
    try:
        earlier: dict[str, Any] = json.loads(path.read_text())
        return earlier if _same_kind(earlier["machine"], machine) else {}
    except (OSError, ValueError, KeyError):
        return {}


def _same_kind(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(one[name] == other[name] for name in ("cpus", "cpu"))


def write(path: Path, found: dict[str, Any]) -> None:
    """Replace the file whole: a reader never meets half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(found, indent=1) + "\n")
    partial.replace(path)


def commit_of(checkout: Path) -> str:
    """Return the checkout's commit, marked when tracked files differ from it; ``unknown`` without git."""
    try:
        changed = _git(checkout, "status", "--porcelain", "--untracked-files=no", "--", ".", f":!{LATEST}")
        return _git(checkout, "rev-parse", "HEAD") + ("-dirty" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def committed(checkout: Path, machine: dict[str, Any]) -> dict[str, float]:
    """Return the values of ``bench/latest.json`` as last committed; none from another kind of machine."""
    try:
        found = json.loads(_git(checkout, "show", f"HEAD:{LATEST}"))
        alike = _same_kind(found["machine"], machine)
        return {bar["name"]: bar["value"] for bar in found["bars"] if bar["value"] is not None} if alike else {}
    except (OSError, subprocess.CalledProcessError, ValueError, KeyError):
        return {}


def _git(checkout: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=checkout, capture_output=True, text=True, check=True)
    return done.stdout.strip()


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
