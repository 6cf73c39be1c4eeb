"""A backup without a host: one attempt of a real task, its writer and its commit in the hands of a test."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from common.ids import uuid7
from sqlalchemy import text

from backup_engine.domain.lease import Fence
from backup_engine.domain.problem import problem_of
from backup_engine.errors import SnapshotGone
from backup_engine.ports.control_plane import BackupOrder, Claim, DiskDraft, PointDraft
from backup_engine.ports.vault import BlobStore, ChunkCatalogue
from backup_engine.runner.fenced import GrantedCatalogue
from backup_engine.testing.engine import Engine
from backup_engine.testing.memory_vault import BytesDisk, disk_plan
from backup_engine.usecases.request_backup import request_backup
from backup_engine.vault.fenced import FencedStore
from backup_engine.vault.keyring import Keyring
from backup_engine.vault.lifecycle import open_stored_keyring
from backup_engine.vault.manifest import DiskRecord, PointRef, load_manifest
from backup_engine.vault.reader import PointReader
from backup_engine.vault.writer import DiskPlan, Outside, PointWriter, PreparedPoint
from backup_engine.workflows.read_point import CatalogueGenerations

KEY = 2000


@dataclass(slots=True)
class DirectBackup:
    """One claimed attempt. `store` and `catalogue` are those of a runner; a test may put something between."""

    engine: Engine
    claim: Claim
    keyring: Keyring
    store: BlobStore
    catalogue: ChunkCatalogue

    @property
    def id(self) -> UUID:
        return self.claim.grant.task_id

    @property
    def _parent(self) -> PointRef | None:
        order = self.claim.order
        assert isinstance(order, BackupOrder)
        return None if order.parent is None else PointRef(order.parent.point_id, order.parent.token)

    async def write(self, content: bytes, *, changed: Sequence[tuple[int, int]] | None = None) -> PreparedPoint:
        """Store a disk: whole, or what ``changed`` since the parent. The manifest is sealed and not yet published."""
        async with PointWriter(self.store, self.catalogue, self.keyring) as writer:
            record = await writer.write_disk(await self._plan(content, changed))
            return await self._sealed(writer, [record])

    async def prepare(self, point: PreparedPoint) -> None:
        await self.engine.built.control_plane().prepare(self.claim.grant, _draft(point))

    async def publish(self, point: PreparedPoint) -> None:
        async with PointWriter(self.store, self.catalogue, self.keyring) as writer:
            await writer.publish(point)

    async def commit(self, point: PreparedPoint) -> UUID:
        """The rest of a backup; the restore point's id."""
        await self.prepare(point)
        await self.publish(point)
        await self.engine.built.control_plane().commit(self.claim.grant)
        return self.id

    async def fail(self) -> None:
        """The attempt ended for good without a point."""
        problem = problem_of(SnapshotGone())
        await self.engine.built.control_plane().fail(self.claim.grant, problem, retry=False)

    async def _plan(self, content: bytes, changed: Sequence[tuple[int, int]] | None) -> DiskPlan:
        if changed is None:
            return disk_plan(BytesDisk(content), len(content), key=KEY)
        assert self._parent is not None
        parent = await load_manifest(self.store, self.keyring, self._parent.point_id, self._parent.token)
        return disk_plan(
            BytesDisk(content),
            len(content),
            key=KEY,
            extents=changed,
            outside=Outside.PARENT,
            parent_root=parent.disks[0].root,
        )

    async def _sealed(self, writer: PointWriter, disks: Sequence[DiskRecord]) -> PreparedPoint:
        return await writer.prepare(
            point_id=self.id,
            token=self.claim.grant.token,
            created_at=datetime.now(UTC),
            parent=self._parent,
            machine={"name": "direct"},
            disks=disks,
        )


async def begin_backup(engine: Engine, tenant_id: UUID, vm_id: UUID) -> DirectBackup:
    """Request a backup of this machine and claim it as a runner would."""
    async with engine.built.store.for_tenant(tenant_id) as uow:
        job_id = await request_backup(uow, await uow.tenants.get(), requested_by=uuid7(), vm_id=vm_id)
        # At once, so that no dispatcher that runs beside publishes it.
        ready = text("update tasks set status = 'ready' where job_id = :job returning id")
        task_id = await uow.session.scalar(ready, {"job": job_id})
    return await claim_backup(engine, task_id)


async def claim_backup(engine: Engine, task_id: UUID) -> DirectBackup:
    """Claim a ready task."""
    control = engine.built.control_plane()
    claim = await control.claim(task_id, "cloud", "test")
    assert claim is not None
    fence = Fence(claim.grant.lease)
    fence.renewed(time.monotonic())
    return DirectBackup(
        engine,
        claim,
        await open_stored_keyring(engine.built.kms, claim.vault.vault_id, claim.vault.sealed_keyring),
        FencedStore(engine.built.blobs, fence),
        GrantedCatalogue(control, claim.grant, fence),
    )


async def restored(engine: Engine, tenant_id: UUID, point_id: UUID) -> bytes:
    """The content of a point's disk, as a restore reads it."""
    async with engine.built.store.for_tenant(tenant_id) as uow:
        point = await uow.points.get(point_id)
        sealed = await uow.vaults.sealed_keyring(point.vault_id)
    keyring = await open_stored_keyring(engine.built.kms, point.vault_id, sealed)
    manifest = await load_manifest(engine.built.blobs, keyring, point.id, point.token)
    generations = CatalogueGenerations(engine.built.store, tenant_id, point.vault_id)
    async with PointReader(engine.built.blobs, keyring, manifest, generations=generations) as reader:
        return await reader.read(KEY, 0, point.capacity_bytes)


def _draft(point: PreparedPoint) -> PointDraft:
    disks, statistics = point.manifest.disks, point.statistics
    return PointDraft(
        manifest=point.name,
        manifest_sha256=point.digest.hex(),
        mode=disks[0].mode,
        vm_name="direct",
        quiesced=False,
        parent_point_id=None if point.manifest.parent is None else point.manifest.parent.point_id,
        snapshot_at=point.manifest.created_at,
        capacity_bytes=sum(disk.capacity_bytes for disk in disks),
        bytes_read=statistics.bytes_read,
        bytes_skipped=statistics.bytes_skipped,
        bytes_new=statistics.bytes_new,
        bytes_stored=statistics.bytes_stored,
        seconds_total=0,
        limiting_stage=None,
        cbt_unsafe=False,
        warnings=[],
        disks=[_disk(disk) for disk in disks],
    )


def _disk(disk: DiskRecord) -> DiskDraft:
    return DiskDraft(
        key=disk.key,
        label=disk.label,
        uuid=None,
        capacity_bytes=disk.capacity_bytes,
        root=disk.root.hex(),
        mode=disk.mode,
        full_reason=disk.full_reason,
        transport=disk.transport,
        transport_reason=disk.transport_reason,
        bytes_read=disk.counts.read,
        bytes_skipped=disk.counts.skipped,
        bytes_new=disk.counts.new,
        bytes_stored=disk.counts.stored,
        bytes_data=disk.counts.data * disk.chunk_size,
    )
