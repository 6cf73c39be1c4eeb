"""Which transport reads a disk: by what each can do and what the disk needs, never by name.

Tried in order until one opens; what a host refused is remembered, so that it is not tried on every disk again (D37).
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from backup_engine.errors.hypervisor import (
    BackingChanged,
    DatastoreFileLocked,
    DatastoreFileMissing,
    HypervisorError,
    NoTransport,
    RangeRefused,
)
from backup_engine.ports.hypervisor import Capabilities, DiskSource, Hypervisor
from backup_engine.ports.hypervisor_values import Disk, Endpoint, PowerState, VirtualMachine
from backup_engine.transports import datastore, lease
from backup_engine.transports.planning import DiskPlan

MEMORY_SECONDS = 6 * 3600.0
"""How long a host's refusal is believed: a day's backups are spared the attempt, an upgrade is noticed the next."""

_MOVE_ON = (BackingChanged, DatastoreFileLocked, DatastoreFileMissing, RangeRefused)
_OF_THE_HOST = (DatastoreFileLocked, RangeRefused)
"""Refusals that say something of the host, not of this one VM."""


@dataclass(frozen=True, slots=True)
class ReadNeed:
    """What reading one disk takes."""

    running: bool
    foreign_snapshots: bool
    encrypted: bool
    flat: bool
    has_snapshot: bool
    some_areas: bool
    """Only some areas are wanted, so that reading at random pays."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A transport that may be used here."""

    name: str
    capabilities: Capabilities
    open: Callable[[], Awaitable[DiskSource]]
    needs_snapshot: bool = True


@dataclass(frozen=True, slots=True)
class Opened:
    """A disk open for reading; transport, reason and refusals are recorded on the restore point."""

    source: DiskSource
    reason: str
    refused: Mapping[str, str]

    @property
    def transport(self) -> str:
        """Its name."""
        return self.source.transport


def unfit(offer: Offer, need: ReadNeed) -> str | None:
    """Why the transport cannot deliver the disk's true content; None if it can."""
    can = offer.capabilities
    judged = {
        "it delivers an encrypted machine's ciphertext": need.encrypted and not can.plain_text,
        "it cannot read while the machine runs": need.running and not can.running_vm,
        "another snapshot exists, whose disk it would not see": need.foreign_snapshots and not can.foreign_snapshots,
        "the disk is not one flat file": not need.flat and not can.any_backing,
        "it needs a snapshot": offer.needs_snapshot and not need.has_snapshot,
        "it cannot read": not (can.random_read or can.sequential_read),
    }
    return next((reason for reason, applies in judged.items() if applies), None)


def ranked(offers: Sequence[Offer], need: ReadNeed) -> list[Offer]:
    """Fit offers, best first: reading at random where only some areas are wanted, else streams; then as listed."""
    fit = [offer for offer in offers if unfit(offer, need) is None]
    return sorted(fit, key=lambda offer: offer.capabilities.random_read is not need.some_areas)


def need_of(vm: VirtualMachine, disk: Disk, plan: DiskPlan, our_prefix: str, *, has_snapshot: bool) -> ReadNeed:
    """What this disk takes, as the VM stands."""
    return ReadNeed(
        running=vm.power_state is not PowerState.OFF,
        foreign_snapshots=bool(vm.foreign_snapshots(our_prefix)),
        encrypted=vm.encrypted or disk.encrypted,
        flat=disk.is_flat,
        has_snapshot=has_snapshot,
        some_areas=plan.extents is not None,
    )


@dataclass
class TransportMemory:
    """What hosts refused; one for a process."""

    clock: Callable[[], float] = time.monotonic
    _refused: dict[tuple[str, int, str], tuple[float, str]] = field(default_factory=dict)

    def remember(self, endpoint: Endpoint, transport: str, reason: str) -> None:
        """For `MEMORY_SECONDS`."""
        self._refused[endpoint.host, endpoint.port, transport] = (self.clock() + MEMORY_SECONDS, reason)

    def recall(self, endpoint: Endpoint, transport: str) -> str | None:
        """Why this transport is not tried on this host; None if it is."""
        until, reason = self._refused.get((endpoint.host, endpoint.port, transport), (0.0, ""))
        return reason if self.clock() < until else None


class Ladder:
    """Opens disks of one host by the best transport that works."""

    def __init__(self, hypervisor: Hypervisor, memory: TransportMemory) -> None:
        self._hypervisor = hypervisor
        self._memory = memory

    async def open(self, vm: VirtualMachine, snapshot: str | None, plan: DiskPlan, *, our_prefix: str) -> Opened:
        """Open one disk. `snapshot` is ours; None only for a template, which cannot have one.

        Raises:
            NoTransport: with the reason of each; also of an encrypted VM that none can read in plain (D38).
        """
        disk = plan.disk
        need = need_of(vm, disk, plan, our_prefix, has_snapshot=snapshot is not None)
        offers = self._offers(vm, snapshot, disk, our_prefix)
        refused = {offer.name: reason for offer in offers if (reason := unfit(offer, need)) is not None}
        for offer in ranked(offers, need):
            known = self._memory.recall(self._hypervisor.endpoint, offer.name)
            if known is not None:
                refused[offer.name] = f"refused earlier: {known}"
                continue
            try:
                source = await offer.open()
            except _MOVE_ON as refusal:
                refused[offer.name] = str(refusal)
                self._learn(offer.name, refusal)
                continue
            return Opened(source, _reason(offer, need, refused), refused)
        raise NoTransport(disk=disk.label, reasons="; ".join(f"{name}: {why}" for name, why in refused.items()))

    def refused(self, opened: Opened, error: HypervisorError) -> None:
        """Tell that reading ended in this error; opening the disk again then takes the next transport."""
        self._learn(opened.transport, error)

    def _learn(self, transport: str, error: HypervisorError) -> None:
        if isinstance(error, _OF_THE_HOST):
            self._memory.remember(self._hypervisor.endpoint, transport, str(error))

    def _offers(self, vm: VirtualMachine, snapshot: str | None, disk: Disk, our_prefix: str) -> list[Offer]:
        async def by_lease() -> DiskSource:
            assert snapshot is not None, "unfit() refuses a lease without a snapshot"
            return lease.LeaseSource(self._hypervisor, snapshot, disk)

        async def by_datastore() -> DiskSource:
            return await datastore.open_source(self._hypervisor, vm.moid, snapshot, disk, our_prefix)

        return [
            Offer(lease.NAME, lease.CAPABILITIES, by_lease),
            Offer(datastore.NAME, datastore.CAPABILITIES, by_datastore, needs_snapshot=False),
        ]


def _reason(offer: Offer, need: ReadNeed, refused: Mapping[str, str]) -> str:
    if offer.capabilities.random_read and need.some_areas:
        return "reads only the areas that are wanted"
    if refused:
        return "; ".join(f"{name}: {why}" for name, why in refused.items())
    return "streams the whole disk"
