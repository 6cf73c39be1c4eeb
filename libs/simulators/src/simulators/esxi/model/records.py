"""What each disk held when a snapshot was made: the truth that a restore is compared with.

A digest is computed when somebody asks or, at the latest, before the snapshot's removal merges the chain.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from simulators.esxi.model.vm import FrozenDisk, Snapshot, Vm

LARGEST_HASHED = 64 << 30
"""Beyond this a digest of mostly zeros would take minutes: none is recorded."""


@dataclass(eq=False)
class Record:
    """One disk at one snapshot. `frozen` is None once the snapshot is gone."""

    vm: str
    vm_name: str
    snapshot: str
    name: str
    created_at: str
    disk_key: int
    disk_uuid: str
    capacity_bytes: int
    frozen: FrozenDisk | None
    sha256: str | None = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def settle(self) -> str | None:
        """The digest, computed at the first call while the view exists."""
        async with self._lock:
            if self.sha256 is None and self.frozen is not None and self.capacity_bytes <= LARGEST_HASHED:
                self.sha256 = await asyncio.to_thread(self.frozen.device.disk.sha256, self.frozen.layer)
            return self.sha256

    def shown(self) -> dict[str, Any]:
        return {
            "vm": self.vm,
            "vm_name": self.vm_name,
            "snapshot": self.snapshot,
            "name": self.name,
            "created_at": self.created_at,
            "disk_key": self.disk_key,
            "disk_uuid": self.disk_uuid,
            "capacity_bytes": self.capacity_bytes,
            "sha256": self.sha256,
        }


class Records:
    """All records, oldest first."""

    def __init__(self) -> None:
        self.entries: list[Record] = []

    def note(self, vm: Vm, snapshot: Snapshot) -> None:
        """A snapshot was made."""
        for key, frozen in snapshot.disks.items():
            self.entries.append(
                Record(
                    vm.moid, vm.name, snapshot.moid, snapshot.name, snapshot.created_at.isoformat(),
                    key, frozen.device.disk.uuid, frozen.capacity, frozen,
                )
            )  # fmt: skip

    def of(self, snapshot: Snapshot) -> list[Record]:
        return [record for record in self.entries if record.snapshot == snapshot.moid]

    async def seal(self, snapshot: Snapshot) -> None:
        """The snapshot is about to go: compute what nobody asked for yet, then let go of its files."""
        for record in self.of(snapshot):
            await record.settle()
            record.frozen = None

    def drop(self, vm: Vm) -> None:
        """The VM is about to be destroyed; digests not asked for are lost with it."""
        for record in self.entries:
            if record.vm == vm.moid:
                record.frozen = None
