"""What a runner works with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from backup_engine.ports.control_plane import ControlPlane
from backup_engine.ports.hypervisor import HypervisorConnector
from backup_engine.ports.vault import BlobStore, Kms
from backup_engine.transports.selection import TransportMemory


@dataclass(frozen=True, slots=True)
class RunnerTools:
    """Shared by all attempts of a process; each attempt has its own lease, session and writer."""

    control: ControlPlane
    connector: HypervisorConnector
    blobs: BlobStore
    kms: Kms
    export_folder: Path | None = None
    memory: TransportMemory = field(default_factory=TransportMemory)
