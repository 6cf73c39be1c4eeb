"""Faults of the ESXi simulator as data, and the log of what was called.

A rule is `{"match", "action", ...}`. `match` is a glob on the name of the SOAP call (`CreateSnapshot_Task`) or on the
path (`/folder/*`, `/nfc/*`). Actions and their own fields:

    fault      {fault: "FileFault", message?, fields?}   the call, or with `in_task` its task, ends in this fault
    delay      {seconds}                                 before the call, or with `in_task` inside its task
    status     {status, body?}                           answer this HTTP status
    rate       {bytes_per_second}                        throttle the stream (or the merging of a snapshot)
    cut        {after_bytes?}                            end the connection after so many bytes
    corrupt    {after_bytes?}                            flip a byte of the answer there
    page_size  {extents}                                 extents per answer of QueryChangedDiskAreas
    no_stun    {}                                        a snapshot that does not make CBT effective
    whole_disk {}                                        QueryChangedDiskAreas("*") names the entire disk
    keep_files {}                                        a removed snapshot leaves its files: consolidationNeeded
    miss_changes {}                                      QueryChangedDiskAreas withholds every other extent
    expire     {}                                        the session ends with this call

Common: `skip` (let so many pass first), `times` (act so often; none: for ever), `probability`. Told back: `acted`.
"""

import random
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from simulators.esxi.vmodl import completed, vim, vmodl

LOG_ENTRIES = 20_000
ACTIONS = frozenset(
    {
        "fault",
        "delay",
        "status",
        "rate",
        "cut",
        "corrupt",
        "page_size",
        "no_stun",
        "whole_disk",
        "keep_files",
        "miss_changes",
        "expire",
    }
)
WITHIN_STREAMS = frozenset({"rate", "cut", "corrupt"})
"""These act, if at all, after the request that took them has begun; `http/flow.py` counts them."""


@dataclass
class Rule:
    """One rule; `detail` holds the fields of its action."""

    match: str
    action: str
    skip: int = 0
    times: int | None = None
    probability: float = 1.0
    in_task: bool = False
    acted: int = 0
    """How often it took effect: a stream that ended before it was cut does not count."""
    detail: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, raw: Any) -> "Rule":
        """From JSON.

        Raises:
            ValueError: no `match`, an unknown action or an unknown fault.
        """
        if not isinstance(raw, dict) or not isinstance(raw.get("match"), str) or raw.get("action") not in ACTIONS:
            raise ValueError(f"a rule needs match and action, one of {', '.join(sorted(ACTIONS))}")
        own = {
            name: raw[name] for name in ("match", "action", "skip", "times", "probability", "in_task") if name in raw
        }
        rule = cls(**own, detail={name: value for name, value in raw.items() if name not in own})
        if rule.action == "fault":
            rule.make_fault()
        return rule

    def make_fault(self) -> Any:
        """The fault to raise."""
        name = self.detail.get("fault", "")
        kind = getattr(vim.fault, name, None) or getattr(vmodl.fault, name, None)
        if kind is None:
            raise ValueError(f"no such fault: {name!r}")
        try:
            return completed(kind(msg=self.detail.get("message", f"{name} by rule"), **self.detail.get("fields", {})))
        except (AttributeError, TypeError) as error:
            raise ValueError(f"{name} has no such field: {error}") from None

    def fits(self, name: str, *, action: str, in_task: bool) -> bool:
        return self.action == action and self.in_task == in_task and fnmatchcase(name, self.match)


class Faults:
    """The rules in force."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self._chance = random.Random(0)

    def replace(self, raw: Any) -> None:
        """Put a list of rules (or `{"rules": [...], "seed"?}`) in force.

        Raises:
            ValueError: malformed; the former rules stay.
        """
        listed = raw.get("rules") if isinstance(raw, dict) else raw
        if not isinstance(listed, list):
            raise ValueError("expected a list of rules")  # noqa: TRY004 -- malformed data, not a wrong call
        self.rules = [Rule.parse(entry) for entry in listed]
        self._chance = random.Random(raw.get("seed", 0) if isinstance(raw, dict) else 0)

    def take(self, name: str, action: str, *, in_task: bool = False) -> Rule | None:
        """The rule of this action that acts now, counted as used."""
        return next(self._acting(name, action, in_task=in_task), None)

    def _acting(self, name: str, action: str, *, in_task: bool) -> Iterator[Rule]:
        for rule in self.rules:
            if not rule.fits(name, action=action, in_task=in_task) or rule.times == 0:
                continue
            if rule.skip > 0:
                rule.skip -= 1
                continue
            if self._chance.random() >= rule.probability:
                continue
            if rule.times is not None:
                rule.times -= 1
            rule.acted += rule.action not in WITHIN_STREAMS
            yield rule


class CallLog:
    """What was called, oldest first; secrets are not kept."""

    def __init__(self) -> None:
        self.entries: deque[dict[str, Any]] = deque(maxlen=LOG_ENTRIES)

    def add(self, kind: str, name: str, **facts: Any) -> dict[str, Any]:
        """Note a call; the entry is returned so that its outcome can be added."""
        entry = {"at": time.time(), "kind": kind, "name": name, **facts}
        self.entries.append(entry)
        return entry
