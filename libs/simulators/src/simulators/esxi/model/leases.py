"""HttpNfcLease: permission to stream disks, which lives only while its holder reports progress."""

import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from simulators.esxi.disks.layers import Layer
from simulators.esxi.model.vm import Controller, DiskDevice, Snapshot, Vm
from simulators.esxi.vmodl import fault, vim

INITIALIZING, READY, DONE, ERROR = "initializing", "ready", "done", "error"
EXPORT, IMPORT = "export", "import"


class LeaseOverError(Exception):
    """The lease ended while a stream was under way: the stream must be cut."""


@dataclass
class LeaseDevice:
    """One disk to stream: `name` is the last part of its URL, `layer` the frozen view (None: the disk itself)."""

    name: str
    device: DiskDevice
    controller: Controller
    layer: Layer | None
    capacity: int
    streamed: int = 0
    complete: bool = False

    @property
    def slot(self) -> str:
        """How device keys name the place: controller kind, bus, unit."""
        return f"{self.controller.kind}{self.controller.bus}:{self.device.unit}"


@dataclass(eq=False)
class Lease:
    """One lease. `touch` is progress; whoever looks at `state` first lets an overdue lease fail."""

    kind: str
    vm: Vm
    devices: list[LeaseDevice]
    timeout: int
    snapshot: Snapshot | None = None
    moid: str = field(default_factory=lambda: str(uuid.uuid4()))
    stage: str = INITIALIZING
    percent: int = 0
    error: Any = None
    files: dict[str, int] = field(default_factory=dict)
    _touched: float = field(default_factory=time.monotonic)

    @property
    def state(self) -> str:
        if self.stage == READY and time.monotonic() - self._touched > self.timeout:
            self.fail(fault(vim.fault.Timedout, "The lease timed out: no progress was reported in time"))
        return self.stage

    @property
    def active(self) -> bool:
        return self.state in (INITIALIZING, READY)

    def open(self) -> None:
        if self.stage == INITIALIZING:
            self.stage, self._touched = READY, time.monotonic()

    def touch(self, percent: int) -> None:
        self.percent, self._touched = percent, time.monotonic()

    def fail(self, error: Any) -> None:
        """End in error; the first reason stays."""
        if self.stage not in (DONE, ERROR):
            self.stage, self.error = ERROR, error

    def check(self) -> None:
        """Raises LeaseOverError when streaming is not allowed any more."""
        if self.state != READY:
            raise LeaseOverError(self.moid)

    def device(self, name: str) -> LeaseDevice | None:
        return next((device for device in self.devices if device.name == name), None)
