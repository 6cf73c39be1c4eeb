"""The runner's only door to the rest, specified as messages: the same runner will run at a customer's site.

Every call but `claim` names its attempt by a `Grant`; an attempt that is no longer the task's current one, or whose
lease is over by the database's clock, is refused with StaleToken and changes nothing. Calls are idempotent: repeating
one after a lost answer has the effect of one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from backup_engine.domain.job import TaskKind
from backup_engine.domain.problem import Problem
from backup_engine.ports.hypervisor_values import VirtualMachine
from backup_engine.ports.vault import StoredObject

BATCH = 1000
"""Ids per call of `known_chunks` and `stored_chunks`."""


class Message(BaseModel):
    """What crosses the door; immutable, with a JSON form."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Grant:
    """One attempt's right to act: the fencing token, and how long it holds from the sending of a renewal."""

    tenant_id: UUID
    task_id: UUID
    token: int
    lease: timedelta


@dataclass(frozen=True, slots=True)
class VaultAccess:
    """The vault that a task works with; the keyring is wrapped by the organization's KMS key."""

    vault_id: UUID
    sealed_keyring: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PointKey:
    """A committed restore point, as the vault names it."""

    point_id: UUID
    token: int


@dataclass(frozen=True, slots=True)
class HostAccess:
    """How to reach a customer's host."""

    hostname: str
    port: int
    thumbprint: str | None
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class BackupOrder:
    """Back up one virtual machine."""

    vm_moid: str
    quiesce: str
    parent: PointKey | None
    force_full: bool
    """Changed areas of this machine are not to be believed: they were caught lying (D8)."""
    first_full: bool
    prefer_resumable: bool


@dataclass(frozen=True, slots=True)
class RestoreMachineOrder:
    """Make a new virtual machine from a restore point."""

    point: PointKey
    name: str
    datastore: str | None
    networks: dict[str, str]
    power_on: bool
    earlier_tokens: int
    """Tokens below this one may have left a half-made machine, tagged with the task's id."""


@dataclass(frozen=True, slots=True)
class RestoreDisksOrder:
    """Make disks of a restore point available as raw bytes, and write them to the export folder when asked to."""

    point: PointKey
    disk_keys: tuple[int, ...]
    export: bool


@dataclass(frozen=True, slots=True)
class RemovalOrder:
    """Remove one snapshot that this deployment made."""

    name: str
    vm_moid: str
    moref: str | None
    host_task: str | None
    """The removal's task on the host, when it was already sent: it is polled, never sent again (D15)."""
    sent: bool
    """The removal was, or may have been, sent."""


Order = BackupOrder | RestoreMachineOrder | RestoreDisksOrder | RemovalOrder


class DiskDraft(Message):
    """A disk of a point that is about to be committed."""

    key: int
    label: str
    uuid: str | None
    capacity_bytes: int
    root: str
    mode: str
    full_reason: str | None
    transport: str
    transport_reason: str
    bytes_read: int
    bytes_skipped: int
    bytes_new: int
    bytes_stored: int
    bytes_data: int


class PointDraft(Message):
    """Everything that a commit writes, kept in the task from `prepare` on."""

    manifest: str
    manifest_sha256: str
    mode: str
    vm_name: str
    quiesced: bool
    parent_point_id: UUID | None
    snapshot_at: datetime
    capacity_bytes: int
    bytes_read: int
    bytes_skipped: int
    bytes_new: int
    bytes_stored: int
    seconds_total: int
    limiting_stage: str | None
    cbt_unsafe: bool
    warnings: list[dict[str, Any]]
    disks: list[DiskDraft]


class Progress(Message):
    """How far an attempt is; sums of this attempt only."""

    phase: str = ""
    mode: str | None = None
    transport: str | None = None
    transport_reason: str | None = None
    bytes_total: int = 0
    bytes_read: int = 0
    bytes_skipped: int = 0
    bytes_new: int = 0
    bytes_stored: int = 0
    limiting_stage: str | None = None


class Stop(StrEnum):
    """Why an attempt must end now."""

    CANCEL = "cancel"
    QUOTA = "quota"


@dataclass(frozen=True, slots=True)
class Renewal:
    """What a renewal brings back. ``problem`` says why, where the stop is not a person's wish."""

    stop: Stop | None = None
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A task and everything an attempt needs to begin."""

    grant: Grant
    kind: TaskKind
    order: Order
    server_id: UUID
    vault: VaultAccess
    deployment_id: str
    claimed_at: datetime
    """By the database's clock: the runner's own is never stored as fact."""
    prepared: PointDraft | None = None
    """What an earlier attempt prepared: its manifest may exist, then only the commit is missing."""
    prepared_token: int | None = None
    trace: Mapping[str, str] = field(default_factory=dict)
    """Where the request was that made the task, as arguments of `common.telemetry.context.span`."""


class ControlPlane(Protocol):
    """See the module's first lines for what holds for every call."""

    async def claim(self, task_id: UUID, queue: str, runner: str) -> Claim | None:
        """Take a ready task; None when it is not claimable (taken, ended, another site's): acknowledge and go on."""
        ...

    async def renew(self, grant: Grant, progress: Progress) -> Renewal:
        """Prolong the lease, tell the progress, hear whether to stop."""
        ...

    async def host_access(self, grant: Grant, server_id: UUID) -> HostAccess:
        """The host's address and opened credentials. Raises CredentialsUnreadable."""
        ...

    async def known_chunks(self, grant: Grant, ids: Sequence[bytes]) -> dict[bytes, int]:
        """Highest live generation of each known id, marked as used."""
        ...

    async def stored_chunks(self, grant: Grant, objects: Sequence[StoredObject]) -> set[tuple[bytes, int]]:
        """Register durable objects; what is not returned is being collected and goes under the next generation."""
        ...

    async def live_generations(self, grant: Grant, ids: Sequence[bytes]) -> dict[bytes, int]:
        """Highest live generation of each known id, for reading."""
        ...

    async def intend_snapshot(self, grant: Grant, name: str) -> None:
        """Write the ledger row; only after it returns may the snapshot be asked for."""
        ...

    async def snapshot_created(self, grant: Grant, moref: str) -> None: ...

    async def removal_sent(self, grant: Grant, host_task: str | None) -> None:
        """Note that the removal is about to be sent (None), or was sent as this task of the host."""
        ...

    async def snapshot_removed(self, grant: Grant, warnings: Sequence[Problem]) -> None:
        """The snapshot is gone; ends the removal task."""
        ...

    async def prepare(self, grant: Grant, draft: PointDraft | None) -> None:
        """Compare-and-set running → committing. ``draft`` is None for a restore.

        Raises:
            StaleToken: the attempt is not current.
            ChunkNotLive: a referenced object is being collected.
            QuotaReached: there is no room for what was stored.
            Cancelled: a person cancelled the task in the meantime.
        """
        ...

    async def commit(self, grant: Grant, *, adopt: int | None = None) -> None:
        """Write the restore point (committing → completed) and queue the snapshot's removal.

        ``adopt`` is the token of an earlier attempt whose manifest was found: its point is committed.
        """
        ...

    async def restored(
        self,
        grant: Grant,
        progress: Progress,
        result: dict[str, Any],
        warnings: Sequence[Problem],
        machine: VirtualMachine | None = None,
    ) -> None:
        """End a restore well with its last figures; ``machine`` is what was made, as the host shows it."""
        ...

    async def fail(self, grant: Grant, problem: Problem, *, retry: bool) -> None:
        """End the attempt: the task fails, is cancelled (code `cancelled`), or with ``retry`` is tried again later."""
        ...

    async def hand_back(self, grant: Grant) -> None:
        """Give the task to another runner; costs no attempt."""
        ...
