"""An HttpNfcLease: waiting for it, keeping it alive in a task of its own, and its end, told once.

Export and import (`lease_export.py`, `lease_import.py`) are two uses of it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Any

from yarl import URL

from backup_engine.adapters.vsphere.dialer import PinnedHost, normalized
from backup_engine.adapters.vsphere.faults import text_of
from backup_engine.adapters.vsphere.inventory import host_names
from backup_engine.adapters.vsphere.session import Session, read_properties
from backup_engine.adapters.vsphere.vmodl import moid_of, vim
from backup_engine.errors.hypervisor import (
    HostNotAllowed,
    HostUnreachable,
    HypervisorError,
    LeaseDiskUnidentified,
    LeaseFailed,
)

READY_SECONDS = 300.0
"""A host that opens a chain of delta disks on slow storage takes a minute or two."""
KEEP_ALIVE_SECONDS = 15.0
"""Longest pause between two reports; leases live 300 s unless a host says less, and several reports may get lost."""
_PATHS = ("state", "error", "info")

_log = logging.getLogger(__name__)


class Lease:
    """A lease that is ready, with the URLs that it offers. Ends by `complete` or `close`, whichever comes first."""

    def __init__(self, session: Session, moid: str) -> None:
        self._session = session
        self._moid = moid
        self._managed = session.managed(vim.HttpNfcLease, moid)
        self._percent = 0
        self._ended = False
        self._failure: HypervisorError | None = None
        self._keeper: asyncio.Task[None] | None = None
        self.info: Any = None

    async def open(self) -> None:
        """Wait until it is ready and start to keep it alive. On failure it is aborted. Raises LeaseFailed."""
        try:
            await self._wait_until_ready()
        except BaseException:
            await self.close()
            raise
        pause = min(KEEP_ALIVE_SECONDS, max((self.info.leaseTimeout or 300) / 5, 0.05))
        self._keeper = asyncio.create_task(self._keep_alive(pause), name=f"lease {self._moid}")

    def report(self, fraction: float) -> None:
        """What the next report says; a host wants it never to fall and 100 only at the end."""
        self._percent = max(self._percent, min(99, int(fraction * 100)))

    def check(self) -> None:
        """Raises LeaseFailed once the host was heard to have ended it."""
        if self._failure is not None:
            raise self._failure

    async def explain(self, failure: HypervisorError) -> HypervisorError:
        """Why a transfer broke: the lease's own error where it has one."""
        if self._failure is None:
            with contextlib.suppress(HypervisorError):
                await self._look()
        return self._failure or failure

    async def complete(self) -> None:
        """Tell the host that all went well. Idempotent."""
        if self._ended:
            return
        await self._stop_keeper()
        with contextlib.suppress(HypervisorError):
            await self._session.call("HttpNfcLeaseProgress", lambda: self._managed.HttpNfcLeaseProgress(percent=100))
        await self._session.call("HttpNfcLeaseComplete", self._managed.HttpNfcLeaseComplete, changes=True)
        self._ended = True

    async def close(self) -> None:
        """Abort it, once, unless it was completed; never raises for a host that does not answer (D34)."""
        await self._stop_keeper()
        if self._ended:
            return
        self._ended = True
        try:
            await self._session.call("HttpNfcLeaseAbort", self._managed.HttpNfcLeaseAbort, changes=True)
        except HypervisorError as error:
            _log.info("a lease could not be aborted, it ends by itself", extra={"reason": error.code})

    async def target_of(self, device: Any) -> tuple[PinnedHost, str]:
        """Where a device URL leads: the connected host or a host of this vCenter's inventory (D33)."""
        return await resolve_url(self._session, str(device.url), getattr(device, "sslThumbprint", None))

    async def _wait_until_ready(self) -> None:
        pause = 0.05
        try:
            async with asyncio.timeout(READY_SECONDS):
                while await self._look() != "ready":
                    await asyncio.sleep(pause)
                    pause = min(pause * 1.5, 2.0)
        except TimeoutError as error:
            raise LeaseFailed(reason="it did not become ready") from error

    async def _look(self) -> str:
        try:
            properties = (await read_properties(self._session, vim.HttpNfcLease, [self._moid], _PATHS))[self._moid]
        except KeyError as error:
            raise LeaseFailed(reason="the host forgot it") from error
        state = str(properties.get("state", "initializing"))
        self.info = properties.get("info") or self.info
        if state == "error":
            fault = properties.get("error")
            self._failure = LeaseFailed(reason=text_of(fault) if fault is not None else "no reason given")
            raise self._failure
        if state == "done" and not self._ended:
            self._failure = LeaseFailed(reason="somebody else ended it")
            raise self._failure
        return state

    async def _keep_alive(self, pause: float) -> None:
        """Reports go out whatever the reader does (D32); a failed one is tried again until the lease is known dead."""
        while True:
            try:
                await self._session.call(
                    "HttpNfcLeaseProgress", lambda: self._managed.HttpNfcLeaseProgress(percent=self._percent)
                )
            except HypervisorError as error:
                with contextlib.suppress(HypervisorError):
                    await self._look()
                if self._failure is not None:
                    return
                _log.warning("keep-alive of a lease failed", extra={"reason": error.code})
            await asyncio.sleep(pause)

    async def _stop_keeper(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            # A fence that rose in the keeper is the caller's to see at its own next call.
            await asyncio.gather(keeper, return_exceptions=True)


async def opened(session: Session, managed_lease: Any) -> Lease:
    """The lease that a call returned, ready. Raises LeaseFailed."""
    lease = Lease(session, moid_of(managed_lease))
    await lease.open()
    return lease


async def resolve_url(session: Session, url: str, thumbprint: str | None) -> tuple[PinnedHost, str]:
    """(host, encoded target) of a URL that the host gave us.

    A standalone host serves its own leases, whatever it calls itself; so does `*`, an IPv6 literal or a name that we
    cannot resolve (D33). Raises HostNotAllowed for a host that the vCenter does not manage, or that the policy refuses.
    """
    parsed = URL(url.replace("://*", "://any.invalid", 1), encoded=True)
    host = parsed.host or "any.invalid"
    if not session.is_vcenter or host == "any.invalid" or ":" in host or host == session.pinned.host:
        return session.pinned, parsed.raw_path_qs
    if parsed.scheme != "https" or host not in await host_names(session):
        raise HostNotAllowed(host=host)
    try:
        pin = normalized(thumbprint) if thumbprint else None
        return await session.dialer.dial_named(host, parsed.port or 443, session.pinned, pin), parsed.raw_path_qs
    except HostUnreachable as unresolved:
        if unresolved.fields.get("reason") != "the name does not resolve":
            raise
        return session.pinned, parsed.raw_path_qs


def device_of_slot(devices: Sequence[Any], controller_type: str, bus: int, unit: int) -> Any:
    """The URL of the disk at a place. Keys read `/vm/ParaVirtualSCSIController0:1`; order and size prove nothing.

    Raises:
        LeaseDiskUnidentified: none or several fit.
    """
    slot = f"{controller_type}{bus}:{unit}"
    fitting = [
        device
        for device in devices
        if slot in (str(device.key).rpartition("/")[2], str(getattr(device, "importKey", "") or "").rpartition("/")[2])
    ]
    if len(fitting) != 1:
        raise LeaseDiskUnidentified(device=slot)
    return fitting[0]
