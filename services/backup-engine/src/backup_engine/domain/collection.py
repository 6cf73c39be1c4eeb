"""Garbage collection as decisions: the phases of a cycle, what a manifest in the store is worth, how long things wait.

Not here: walking maps and deleting objects (`vault/collector.py`), rows (`persistence/collections.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

GRACE = timedelta(hours=24)
"""By the store's clock: younger objects without a row, and manifests without a point, may still be somebody's work."""
UNDO = timedelta(days=7)
"""How long a person can take the deletion of a point back; until then its chunks are kept."""
UNDO_MARGIN = timedelta(minutes=5)
"""How much later than that it is collected: longer than any transaction that takes a deletion back."""
LEASE = timedelta(seconds=90)
"""How long one process has a vault's cycle without a step: longer than the slowest deletion of a batch."""


class Phase(StrEnum):
    """Where a cycle is. Each phase can be begun again: what it did already, it finds done."""

    SETTLING = "settling"
    CUTTING = "cutting"
    RAISING = "raising"
    MARKING = "marking"
    SWEEPING = "sweeping"
    SEARCHING = "searching"
    DELETING = "deleting"
    FINISHED = "finished"


class Step(StrEnum):
    """What was just made durable; between any two steps a cycle may be cut off.

    All but OBJECT_DELETED are told by rows, so that even a turn of one step brings a cycle forward.
    """

    SETTLED = "settled"
    CUTOFF_NOTED = "cutoff_noted"
    EPOCH_RAISED = "epoch_raised"
    NODE_MARKED = "node_marked"
    MARKED = "marked"
    DELETING_SET = "deleting_set"
    SEARCHED = "searched"
    OBJECT_DELETED = "object_deleted"
    DELETION_NOTED = "deletion_noted"
    ROW_DELETED = "row_deleted"
    FINISHED = "finished"


class Worth(StrEnum):
    """What a manifest in the store is to the database."""

    KEPT = "kept"
    LEFT_BEHIND = "left_behind"
    """Of an attempt that became no point, and never will."""
    UNKNOWN = "unknown"
    """Newer than anything the database knows of: the database is the one that is behind (D77)."""


@dataclass(frozen=True, slots=True)
class KnownTask:
    """What the database knows of the task whose id a manifest bears."""

    token: int
    ended: bool
    succeeded: bool
    prepared_token: int | None
    point_token: int | None
    """Of the restore point's row, committed or tombstoned."""


def worth(token: int, task: KnownTask | None) -> Worth:
    """Judge the manifest that an attempt with ``token`` wrote."""
    if task is None or token > task.token:
        return Worth.UNKNOWN
    if token == task.point_token:
        return Worth.KEPT
    if not task.ended:
        # Of this attempt, or of an earlier one that the next will find and commit.
        return Worth.KEPT if token in (task.token, task.prepared_token) else Worth.LEFT_BEHIND
    if task.succeeded and task.point_token is None:
        return Worth.UNKNOWN  # A point goes manifest first: one that lost only its row was not deleted by us.
    return Worth.LEFT_BEHIND
