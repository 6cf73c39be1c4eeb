"""Waiting for a machine that an attempt which died keeps busy.

A runner that dies during an export or import leaves its HttpNfcLease to the host. Nobody else can end it, and until it
times out the host refuses to remove the snapshot or to destroy the machine.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from backup_engine.errors.hypervisor import HypervisorBusy

HOST_LEASE_SECONDS = 330.0
"""Leases live 300 s without a report unless a host says otherwise; a little for its clock."""
LOOK_SECONDS = 5.0

T = TypeVar("T")


async def when_free(act: Callable[[], Awaitable[T]]) -> T:
    """Ask again while the host refuses because something else is under way: a refused call had no effect.

    Raises:
        HypervisorBusy: for longer than a lease of the host can live without its holder.
    """
    deadline = time.monotonic() + HOST_LEASE_SECONDS
    while True:
        try:
            return await act()
        except HypervisorBusy:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(LOOK_SECONDS)
