"""Reading one disk into the vault: by the best transport there is, again from the start where that helps."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from common.crash_points import reach

from backup_engine.errors.hypervisor import DatastoreFileLocked, HypervisorError
from backup_engine.ports.hypervisor import DiskSource
from backup_engine.ports.hypervisor_values import VirtualMachine
from backup_engine.runner.attempt import Attempt
from backup_engine.transports.planning import DiskPlan, Mode
from backup_engine.transports.selection import Ladder, Opened
from backup_engine.vault.disk_writer import DiskPlan as VaultPlan
from backup_engine.vault.disk_writer import Outside
from backup_engine.vault.errors import ChunkDamaged, SourceBroken
from backup_engine.vault.manifest import ControllerRecord, DiskRecord, PointManifest
from backup_engine.vault.writer import PointWriter

log = logging.getLogger(__name__)

DISK_TRIES = 3
"""Readings of one disk within an attempt; chunks that are stored are not sent again (D34)."""
PARENT_UNREADABLE = "parent_unreadable"


def our_prefix(deployment_id: str) -> str:
    """What the names of this deployment's snapshots begin with."""
    return f"ebm-{deployment_id}-"


@dataclass(frozen=True, slots=True)
class _Anywhere:
    """RandomSource of the vault over a transport that reads at random."""

    source: DiskSource

    async def pread(self, offset: int, length: int) -> bytes:
        return await self.source.pread(offset, length)


@dataclass(frozen=True, slots=True)
class _Once:
    """StreamSource of the vault over a transport that streams."""

    source: DiskSource

    def stream(self) -> AsyncIterator[tuple[int, bytes]]:
        return self.source.stream()


@dataclass(slots=True)
class DiskReading:
    """Reads the disks of one snapshot into one writer."""

    attempt: Attempt
    ladder: Ladder
    writer: PointWriter
    machine: VirtualMachine
    snapshot: str
    parent: PointManifest | None
    prefix: str

    async def read(self, plan: DiskPlan) -> DiskRecord:
        """Store the disk; raises the last error when no further try can help."""
        for tries_left in range(DISK_TRIES - 1, -1, -1):
            opened = await self.ladder.open(self.machine, self.snapshot, plan, our_prefix=self.prefix)
            reach("backup-engine.disk.opened")
            self.attempt.tell(transport=opened.transport, transport_reason=opened.reason)
            try:
                record = await self.writer.write_disk(self._vault_plan(plan, opened))
                await opened.source.finish()
            except ChunkDamaged as damaged:
                # The parent's map cannot be read: build on nothing.
                self.attempt.warn(damaged)
                plan, self.parent = _unbuilt(plan), None
            except DatastoreFileLocked as locked:
                self.ladder.refused(opened, locked)
                if not tries_left:
                    raise
            except (HypervisorError, SourceBroken) as error:
                if not tries_left or not getattr(error, "retryable", True):
                    raise
                log.warning("disk %s is read again: %s", plan.disk.label, error)
            else:
                return record
            finally:
                await opened.source.close()
        raise SourceBroken(reason="every try failed")

    def _vault_plan(self, plan: DiskPlan, opened: Opened) -> VaultPlan:
        disk, random = plan.disk, opened.source.capabilities.random_read
        extents = None if plan.extents is None else [(extent.offset, extent.length) for extent in plan.extents]
        root = self._parent_root(plan)
        incremental = plan.mode is Mode.INCREMENTAL and root is not None
        reason = None if incremental else str(plan.reason)
        if plan.mode is Mode.INCREMENTAL and root is None:
            extents, reason = None, PARENT_UNREADABLE
        # What is read whole is checked against what changed-block tracking said of it (D8).
        whole = root is not None and plan.claimed is not None and not (incremental and random)
        return VaultPlan(
            key=disk.key,
            controller=ControllerRecord(disk.address.controller_key, disk.address.controller_type, disk.address.bus),
            unit=disk.address.unit,
            uuid=disk.uuid or "",
            label=disk.label,
            capacity_bytes=disk.capacity_bytes,
            source=_Anywhere(opened.source) if random else _Once(opened.source),
            transport=opened.transport,
            transport_reason=opened.reason,
            mode="incremental" if incremental else "full",
            full_reason=reason,
            change_id=plan.change_id,
            extents=extents if random else None,
            outside=Outside.PARENT if incremental and random else Outside.HOLE,
            parent_root=root,
            hinted=[(area.offset, area.length) for area in plan.claimed or ()] if whole else None,
        )

    def _parent_root(self, plan: DiskPlan) -> bytes | None:
        if self.parent is None or plan.parent is None:
            return None
        return next((disk.root for disk in self.parent.disks if disk.key == plan.parent.key), None)


def _unbuilt(plan: DiskPlan) -> DiskPlan:
    """The plan without its parent: everything is read, for a reason that is stored."""
    return replace(plan, extents=None, claimed=None, parent=None)
