"""The names of our snapshots: who made them (deployment), for which task and attempt."""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import UUID

_NAME = re.compile(r"ebm-(?P<deployment>[a-z0-9]{4,32})-(?P<task>[0-9a-f]{32})-(?P<token>[0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class SnapshotName:
    """``ebm-<deployment_id>-<task>-<token>``: the reconciler touches only names of its own deployment."""

    deployment_id: str
    task_id: UUID
    token: int

    def __str__(self) -> str:
        return f"ebm-{self.deployment_id}-{self.task_id.hex}-{self.token}"

    @classmethod
    def parse(cls, name: str) -> SnapshotName | None:
        """The parts of one of our names; None for anyone else's snapshot."""
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        return cls(match["deployment"], UUID(hex=match["task"]), int(match["token"]))
