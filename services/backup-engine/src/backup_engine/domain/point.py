"""Restore points: what a backup task leaves behind."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class PointState(StrEnum):
    LIVE = "live"
    TOMBSTONED = "tombstoned"


@dataclass(frozen=True, slots=True)
class PointDisk:
    """One disk of a point: the root of its map, and how it was read."""

    key: int
    label: str
    uuid: str | None
    capacity_bytes: int
    root: bytes
    mode: str
    full_reason: str | None
    transport: str
    transport_reason: str
    bytes_read: int
    bytes_skipped: int
    bytes_new: int
    bytes_stored: int
    bytes_data: int


@dataclass(frozen=True, slots=True)
class RestorePoint:
    """A committed point. ``committed_at`` is the server's time; ``snapshot_at`` is the runner's, a label only."""

    id: UUID
    vm_id: UUID
    server_id: UUID
    vault_id: UUID
    job_id: UUID
    token: int
    manifest: str
    state: PointState
    mode: str
    vm_name: str
    quiesced: bool
    parent_point_id: UUID | None
    snapshot_at: datetime
    committed_at: datetime
    keep_until: datetime
    tombstoned_at: datetime | None
    capacity_bytes: int
    bytes_read: int
    bytes_skipped: int
    bytes_new: int
    bytes_stored: int
    seconds_total: int
    limiting_stage: str | None
    warnings: list[dict[str, Any]]
    disks: tuple[PointDisk, ...] = ()

    def disk(self, key: int) -> PointDisk | None:
        return next((disk for disk in self.disks if disk.key == key), None)
