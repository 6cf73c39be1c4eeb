"""One backup: ledger row → snapshot → what to read → vault → snapshot still there? → prepare → manifest → commit.

Whether changed areas may be believed is `domain/change_tracking`; how bytes travel is `transports`; how they are kept
is `vault`. Here is the order, which is what makes a restore point true.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from common.crash_points import reach

from backup_engine.domain.change_tracking import ParentDisk, ParentPoint
from backup_engine.domain.snapshot import SnapshotName
from backup_engine.errors import DiskLeftOut, SnapshotGone
from backup_engine.errors.hypervisor import ChangeTrackingUnsupported, HypervisorStateConflict, QuiesceFailed
from backup_engine.ports.control_plane import BackupOrder, DiskDraft, PointDraft
from backup_engine.ports.hypervisor import Hypervisor
from backup_engine.ports.hypervisor_values import PowerState, SnapshotTaken, VirtualMachine
from backup_engine.runner.attempt import Attempt
from backup_engine.runner.disks import DiskReading, our_prefix
from backup_engine.transports.planning import plan_disks
from backup_engine.transports.selection import Ladder
from backup_engine.vault.errors import ObjectDamaged, PointMissing
from backup_engine.vault.manifest import DiskRecord, PointManifest, PointRef, load_manifest
from backup_engine.vault.writer import PointWriter, PreparedPoint, Progress

CHANGES_OUTSIDE_WARNING = 1
"""One chunk that changed outside the areas that CBT named is one too many."""


async def back_up(attempt: Attempt) -> None:
    """Execute a BackupOrder. Raises what stopped it; a restore point exists only if it returns."""
    order = attempt.claim.order
    assert isinstance(order, BackupOrder)
    reach("backup-engine.backup.begun")
    if await _finish_earlier(attempt):
        return
    # Before the machine is touched: a backup without its vault or its keys can only fail.
    await attempt.keyring()
    async with attempt.host() as host:
        reach("backup-engine.host.connected")
        attempt.tell(phase="snapshot")
        machine = await host.virtual_machine(order.vm_moid)
        just_enabled = await _track_changes(attempt, host, machine)
        reach("backup-engine.changes.tracked")
        snapshot = await _take_snapshot(attempt, host, machine, order)
        machine = await host.virtual_machine(order.vm_moid)
        await _Backup(attempt, host, machine, snapshot, order, just_enabled).run()


async def _finish_earlier(attempt: Attempt) -> bool:
    """Commit what an earlier attempt prepared, if its manifest was written before it died."""
    claim = attempt.claim
    if claim.prepared is None or claim.prepared_token is None:
        return False
    keyring = await attempt.keyring()
    try:
        await load_manifest(attempt.store, keyring, attempt.grant.task_id, claim.prepared_token)
    except (PointMissing, ObjectDamaged):
        return False
    await attempt.tools.control.commit(attempt.grant, adopt=claim.prepared_token)
    return True


async def _track_changes(attempt: Attempt, host: Hypervisor, machine: VirtualMachine) -> bool:
    """Turn CBT on where it is off: it lives from the snapshot's stun on, for the backup after this one."""
    if machine.change_tracking_enabled or not machine.change_tracking_supported:
        return False
    try:
        await host.enable_change_tracking(machine.moid)
    except (ChangeTrackingUnsupported, HypervisorStateConflict) as refused:
        attempt.warn(refused)
        return False
    return True


async def _take_snapshot(
    attempt: Attempt, host: Hypervisor, machine: VirtualMachine, order: BackupOrder
) -> SnapshotTaken:
    """The ledger row is committed before the host is asked, so that no snapshot can be forgotten."""
    name = SnapshotName(attempt.claim.deployment_id, attempt.grant.task_id, attempt.grant.token)
    await attempt.tools.control.intend_snapshot(attempt.grant, str(name))
    reach("backup-engine.snapshot.intended")
    wanted = order.quiesce != "none" and machine.power_state is PowerState.ON
    description = "ESXi Backup Manager: removed by itself"
    try:
        taken = await host.create_snapshot(machine.moid, name=str(name), description=description, quiesce=wanted)
    except QuiesceFailed as failed:
        if order.quiesce == "require":
            raise
        attempt.warn(failed)
        taken = await host.create_snapshot(machine.moid, name=str(name), description=description, quiesce=False)
    reach("backup-engine.snapshot.created")
    await attempt.tools.control.snapshot_created(attempt.grant, taken.moref)
    reach("backup-engine.snapshot.recorded")
    return taken


@dataclass(slots=True)
class _Backup:
    attempt: Attempt
    host: Hypervisor
    machine: VirtualMachine
    snapshot: SnapshotTaken
    order: BackupOrder
    just_enabled: bool

    @property
    def _prefix(self) -> str:
        return our_prefix(self.attempt.claim.deployment_id)

    async def run(self) -> None:
        attempt = self.attempt
        keyring = await attempt.keyring()
        parent = await self._parent()
        writer = PointWriter(
            attempt.store,
            attempt.catalogue,
            keyring,
            first_full=self.order.first_full,
            progress=self._progress,
        )
        async with writer:
            records = await self._read_disks(writer, parent)
            reach("backup-engine.disks.stored")
            prepared = await self._prepare(writer, records, parent)
            attempt.tell(phase="committing")
            await self._still_there()
            reach("backup-engine.point.sealed")
            await attempt.tools.control.prepare(attempt.grant, self._draft(prepared, parent))
            reach("backup-engine.point.prepared")
            await writer.publish(prepared)
            reach("backup-engine.manifest.written")
        attempt.fence.check()
        await attempt.tools.control.commit(attempt.grant)
        reach("backup-engine.point.committed")

    def _progress(self, now: Progress) -> None:
        self.attempt.tell(
            bytes_read=now.bytes_read,
            bytes_skipped=now.bytes_skipped,
            bytes_new=now.bytes_new,
            bytes_stored=now.bytes_stored,
            limiting_stage=now.limiting_stage,
        )

    async def _parent(self) -> PointManifest | None:
        """The parent's manifest: the only place where a changeId is believed; unreadable means a full."""
        key = self.order.parent
        if key is None:
            return None
        try:
            keyring = await self.attempt.keyring()
            return await load_manifest(self.attempt.store, keyring, key.point_id, key.token)
        except (PointMissing, ObjectDamaged) as damaged:
            self.attempt.warn(damaged)
            return None

    async def _read_disks(self, writer: PointWriter, parent: PointManifest | None) -> list[DiskRecord]:
        attempt = self.attempt
        known = None if parent is None else _parent_point(parent)
        plans = await plan_disks(
            self.host,
            self.machine,
            self.snapshot,
            known,
            our_prefix=self._prefix,
            tracking_just_enabled=self.just_enabled,
            force_full=self.order.force_full,
        )
        incremental = any(plan.mode == "incremental" for plan in plans)
        attempt.tell(
            phase="reading",
            mode="incremental" if incremental else "full",
            bytes_total=sum(plan.disk.capacity_bytes for plan in plans),
        )
        self._warn_of_left_out({plan.disk.key for plan in plans})
        ladder = Ladder(self.host, memory=attempt.tools.memory)
        reading = DiskReading(attempt, ladder, writer, self.machine, self.snapshot.moref, parent, self._prefix)
        # One disk after the other: a lease has one stream for each disk, and the host deflates them in one session.
        return [await reading.read(plan) for plan in plans]

    def _warn_of_left_out(self, planned: set[int]) -> None:
        for disk in self.machine.disks:
            if disk.key not in planned:
                self.attempt.warn(DiskLeftOut(disk=disk.label))

    async def _prepare(
        self, writer: PointWriter, records: list[DiskRecord], parent: PointManifest | None
    ) -> PreparedPoint:
        configuration = await self.host.configuration(self.machine.moid)
        about: dict[str, Any] = {
            "configuration": configuration.to_json(),
            "moid": self.machine.moid,
            "instance_uuid": self.machine.instance_uuid,
            "name": self.machine.name,
            "quiesced": self.snapshot.quiesced,
            "foreign_snapshots": bool(self.machine.foreign_snapshots(self._prefix)),
        }
        return await writer.prepare(
            point_id=self.attempt.grant.task_id,
            token=self.attempt.grant.token,
            created_at=self.attempt.claim.claimed_at,
            parent=None if parent is None else PointRef(parent.point_id, parent.token),
            machine=about,
            disks=records,
        )

    async def _still_there(self) -> None:
        """After the last read: what was read is one state only if the snapshot outlived the reading."""
        if not await self.host.snapshot_exists(self.snapshot.moref):
            raise SnapshotGone

    def _draft(self, prepared: PreparedPoint, parent: PointManifest | None) -> PointDraft:
        disks, statistics = prepared.manifest.disks, prepared.statistics
        unexpected = statistics.chunks_changed_outside_hint
        return PointDraft(
            manifest=prepared.name,
            manifest_sha256=prepared.digest.hex(),
            mode="incremental" if any(disk.mode == "incremental" for disk in disks) else "full",
            vm_name=self.machine.name,
            quiesced=self.snapshot.quiesced,
            parent_point_id=None if parent is None else parent.point_id,
            snapshot_at=self.attempt.claim.claimed_at,
            capacity_bytes=sum(disk.capacity_bytes for disk in disks),
            bytes_read=statistics.bytes_read,
            bytes_skipped=statistics.bytes_skipped,
            bytes_new=statistics.bytes_new,
            bytes_stored=statistics.bytes_stored,
            seconds_total=round(statistics.seconds_total),
            limiting_stage=statistics.limiting_stage,
            cbt_unsafe=unexpected >= CHANGES_OUTSIDE_WARNING,
            warnings=[dict(warning) for warning in self.attempt.warnings],
            disks=[_disk_draft(disk) for disk in disks],
        )


def _parent_point(parent: PointManifest) -> ParentPoint:
    """What the planner asks of the parent. A restore makes a new machine, so none was restored over this one."""
    return ParentPoint(
        instance_uuid=parent.machine.get("instance_uuid"),
        moid=parent.machine.get("moid"),
        foreign_snapshots=bool(parent.machine.get("foreign_snapshots")),
        created_by_restore_since=False,
        disks=tuple(
            ParentDisk(
                uuid=disk.uuid or None, key=disk.key, capacity_bytes=disk.capacity_bytes, change_id=disk.change_id
            )
            for disk in parent.disks
        ),
    )


def _disk_draft(disk: DiskRecord) -> DiskDraft:
    counts = disk.counts
    return DiskDraft(
        key=disk.key,
        label=disk.label,
        uuid=disk.uuid or None,
        capacity_bytes=disk.capacity_bytes,
        root=disk.root.hex(),
        mode=disk.mode,
        full_reason=disk.full_reason,
        transport=disk.transport,
        transport_reason=disk.transport_reason,
        bytes_read=counts.read,
        bytes_skipped=counts.skipped,
        bytes_new=counts.new,
        bytes_stored=counts.stored,
        bytes_data=counts.data * disk.chunk_size,
    )
