"""Changed block tracking of one disk: change ids and what changed between two of them.

A change id is `UUID/sequence`. A stun (snapshot made or removed, power cycle) is what makes a requested
tracking effective; switching it off and on, a revert or a restore gives a new UUID.
Not here: the faults and the paging of QueryChangedDiskAreas (`soap.calls_cbt`).
"""

import uuid
from collections.abc import Callable

from simulators.esxi.disks.bitmap import BlockSet

TRACKING_BLOCK_BYTES = 64 << 10
"""Granularity that vSphere answers with: every answer is a superset, rounded outwards to this."""


class UnknownChangeIdError(LookupError):
    """A change id of another tracker, or of a moment this tracker has not seen."""


class ChangeTracker:
    """The -ctk file of a disk. `requested` is the VM's setting, `active` whether writes are being noted."""

    def __init__(self, new_uuid: Callable[[], uuid.UUID] = uuid.uuid4) -> None:
        self._new_uuid = new_uuid
        self.requested = False
        self.active = False
        self._uuid: uuid.UUID | None = None
        self._sequence = 0
        self._changes: dict[int, BlockSet] = {}

    @property
    def change_id(self) -> str | None:
        """As the disk's backing shows it; the id of a tracker switched off and on stays visible until a stun."""
        if not self.requested or self._uuid is None:
            return None
        raw = self._uuid.hex
        pairs = [raw[at : at + 2] for at in range(0, 32, 2)]
        return f"{' '.join(pairs[:8])}-{' '.join(pairs[8:])}/{self._sequence}"

    def request(self, *, enabled: bool) -> None:
        """The setting of the VM. Off is at once; on waits for a stun."""
        if enabled == self.requested:
            return
        self.requested = enabled
        if not enabled:
            self.active = False

    def stun(self) -> None:
        """The disk was reopened: a requested tracking starts, with an identity of its own."""
        if self.requested and not self.active:
            self.restart()

    def restart(self) -> None:
        """Forget everything: new UUID, nothing known."""
        self.active = self.requested
        self._uuid = self._new_uuid() if self.requested else None
        self._sequence = 1
        self._changes = {1: BlockSet(TRACKING_BLOCK_BYTES)}

    def checkpoint(self) -> str | None:
        """A snapshot is made: writes from now on belong to the next sequence. Returns the snapshot's change id."""
        if self.active:
            self._sequence += 1
            self._changes[self._sequence] = BlockSet(TRACKING_BLOCK_BYTES)
        return self.change_id

    def mark(self, offset: int, length: int) -> None:
        """The guest wrote here."""
        if self.active:
            self._changes[self._sequence].add(offset, length)

    def changed_between(self, older: str, newer: str | None) -> BlockSet:
        """Blocks written after `older` and before `newer` (None: until now).

        Raises:
            UnknownChangeIdError: one of them is not of this tracker.
        """
        first, last = self._position(older), self._position(newer) if newer else self._sequence + 1
        if first > last:
            raise UnknownChangeIdError(older)
        union = BlockSet(TRACKING_BLOCK_BYTES)
        for sequence in range(first, last):
            union.update(self._changes[sequence])
        return union

    def _position(self, change_id: str) -> int:
        prefix, _, sequence = change_id.rpartition("/")
        current = self.change_id
        if current is None or prefix != current.rpartition("/")[0] or int(sequence) not in self._changes:
            raise UnknownChangeIdError(change_id)
        return int(sequence)
