"""One attempt at one task: the heartbeat, the fence, and what its end means for the task.

What is done (backup, restore, removal) is in its own module; here is what all of them share.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from common.crash_points import reach
from common.errors import DomainError, Unavailable
from sqlalchemy.exc import DBAPIError

from backup_engine.domain.lease import RENEW_EVERY, Fence
from backup_engine.domain.problem import Problem, problem_of
from backup_engine.errors import Cancelled, ChunkNotLive, Interrupted, LeaseTooOld, SnapshotGone, StaleToken
from backup_engine.errors.hypervisor import HypervisorError
from backup_engine.ports.control_plane import Claim, Grant, Progress, Stop
from backup_engine.ports.hypervisor import Hypervisor
from backup_engine.ports.hypervisor_values import Credentials, Endpoint, VirtualMachine
from backup_engine.ports.vault import BlobStore, StoreFull
from backup_engine.runner import metrics
from backup_engine.runner.fenced import GrantedCatalogue
from backup_engine.runner.tools import RunnerTools
from backup_engine.vault.fenced import FencedStore
from backup_engine.vault.keyring import Keyring
from backup_engine.vault.lifecycle import open_stored_keyring, require_vault
from backup_engine.vault.retrying import RetryingStore

log = logging.getLogger(__name__)


class StoppedByControlPlane(Exception):  # it is an order, not an error
    """The control plane ordered a stop; carries the problem to end the task with."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem["code"])
        self.problem = problem


@dataclass(slots=True, eq=False)
class Attempt:
    """State of an attempt while it runs; ``progress`` is what the next renewal tells."""

    tools: RunnerTools
    claim: Claim
    claim_sent_at: float
    renew_every: timedelta = RENEW_EVERY
    fence: Fence = field(init=False)
    progress: Progress = field(init=False, default_factory=Progress)
    warnings: list[Problem] = field(init=False, default_factory=list)
    _work: asyncio.Task[None] | None = field(init=False, default=None)
    outcome: str = field(init=False, default="done")
    _why: Exception | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.fence = Fence(self.claim.grant.lease)
        self.fence.renewed(self.claim_sent_at)

    @property
    def grant(self) -> Grant:
        return self.claim.grant

    @property
    def store(self) -> BlobStore:
        return RetryingStore(FencedStore(self.tools.blobs, self.fence))

    @property
    def catalogue(self) -> GrantedCatalogue:
        return GrantedCatalogue(self.tools.control, self.grant, self.fence)

    def tell(self, **fields: Any) -> None:
        """Change what the next renewal tells."""
        before, self.progress = self.progress, self.progress.model_copy(update=fields)
        metrics.moved(self.claim.kind, before, self.progress)

    def warn(self, error: DomainError) -> None:
        """Keep a warning for the task and its point."""
        self.warnings.append(problem_of(error))

    async def restored(self, result: dict[str, Any], machine: VirtualMachine | None = None) -> None:
        """Tell how a restore ended well, with the figures that no renewal may have told yet."""
        await self.tools.control.restored(self.grant, self.progress, result, self.warnings, machine)

    async def keyring(self) -> Keyring:
        """The keys of the task's vault. Raises KeyringUnreadable, and VaultMissing where this is another store."""
        await require_vault(self.store, self.claim.vault.vault_id)
        return await open_stored_keyring(self.tools.kms, self.claim.vault.vault_id, self.claim.vault.sealed_keyring)

    @asynccontextmanager
    async def host(self) -> AsyncIterator[Hypervisor]:
        """A session with the task's host whose every call stands behind the fence."""
        access = await self.tools.control.host_access(self.grant, self.claim.server_id)
        session = await self.tools.connector.connect(
            Endpoint(access.hostname, access.port, access.thumbprint),
            Credentials(access.username, access.password),
            fence=self.fence.check,
        )
        try:
            yield session
        finally:
            await to_its_end(session.close())

    def interrupt(self) -> None:
        """The process is being stopped: end the work; the task is handed back."""
        self._stop(Interrupted())

    async def run(self, work: Callable[[Attempt], Awaitable[None]]) -> None:
        """Do the work under a heartbeat, then tell the control plane how it ended. Never raises for the work."""
        self._work = asyncio.ensure_future(work(self))
        if self._why is not None:
            self._work.cancel()
        heartbeat = asyncio.create_task(self._beat(), name=f"heartbeat {self.grant.task_id}")
        try:
            await asyncio.wait({self._work})
            error = self._failure(self._work)
        finally:
            if not self._work.done():
                self._work.cancel()
                await asyncio.wait({self._work})
        try:
            if error is not None:
                self.outcome = _outcome(error)
                await self._tell_end(error)
        finally:
            heartbeat.cancel()
            await asyncio.gather(heartbeat, return_exceptions=True)

    def _failure(self, work: asyncio.Task[None]) -> BaseException | None:
        if work.cancelled():
            return self._why or Interrupted()
        error = work.exception()
        return error if error is None or self._why is None else self._why

    def _stop(self, why: Exception) -> None:
        if self._why is None:
            self._why = why
            if self._work is not None:
                self._work.cancel()

    async def _beat(self) -> None:
        """Renew while the work runs; nothing that fails here ends the work before the fence does."""
        while True:
            await asyncio.sleep(self.renew_every.total_seconds())
            if self.fence.remaining() <= 0:
                self._stop(LeaseTooOld())
                return
            sent_at = time.monotonic()
            try:
                async with asyncio.timeout(self.fence.remaining()):
                    renewal = await self.tools.control.renew(self.grant, self.progress)
            except StaleToken as stale:
                self._stop(stale)
                return
            except Exception as error:  # noqa: BLE001  # whatever it is, the fence decides when it is too late
                log.warning("task %s: renewal failed (%s)", self.grant.task_id, type(error).__name__)
                continue
            self.fence.renewed(sent_at)
            if renewal.stop is Stop.CANCEL:
                self._stop(Cancelled())
            elif renewal.problem is not None:
                self._stop(StoppedByControlPlane(renewal.problem))

    async def _tell_end(self, error: BaseException) -> None:
        task_id, control = self.grant.task_id, self.tools.control
        if isinstance(error, StaleToken | LeaseTooOld):
            log.warning("task %s: attempt %s stopped: %s", task_id, self.grant.token, error)
            return
        try:
            self.fence.check()
            if isinstance(error, Interrupted):
                reach("backup-engine.attempt.interrupted")
                await control.hand_back(self.grant)
                reach("backup-engine.attempt.handed_back")
            elif isinstance(error, StoppedByControlPlane):
                await control.fail(self.grant, error.problem, retry=False)
            else:
                log.warning("task %s: attempt %s failed: %s", task_id, self.grant.token, error, exc_info=_stack(error))
                await control.fail(self.grant, problem_of(error), retry=may_help(error))
        except (DomainError, DBAPIError, OSError) as refused:
            # The lease will run out and the dispatcher will take the task back.
            log.warning("task %s: its end could not be told (%s)", task_id, type(refused).__name__)


def _outcome(error: BaseException) -> str:
    """How an attempt ended, as metrics and logs call it."""
    if isinstance(error, StaleToken | LeaseTooOld):
        return "lost"
    return "handed_back" if isinstance(error, Interrupted) else "failed"


async def to_its_end(closing: Coroutine[Any, Any, None]) -> None:
    """Await something that a cancellation must not cut short: a session that stays open takes one from the host,
    and a claim of which nobody knows holds its task until the lease is over.
    """
    task = asyncio.ensure_future(closing)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


def _stack(error: BaseException) -> BaseException | None:
    return None if isinstance(error, DomainError) else error


def may_help(error: BaseException) -> bool:
    """Whether another attempt may succeed without a person doing something."""
    if isinstance(error, HypervisorError):
        return error.retryable
    if isinstance(error, StoreFull):
        return False
    return isinstance(error, Unavailable | ChunkNotLive | SnapshotGone | DBAPIError | OSError | TimeoutError)
