"""Named points between two steps at which a test may kill or stop the process, to see what the next run repairs.

A point is one line between two steps: ``reach("billing.attempt.recorded")``. It does nothing unless the setting
``…_CRASH_POINTS`` names it, and that setting is refused outside ``ENVIRONMENT=test``. The signal is one that no code
can catch, so nothing is closed, flushed or handed back: what a power failure leaves is what a test finds.
"""

import logging
import os
import signal
from collections.abc import Mapping
from enum import StrEnum

log = logging.getLogger(__name__)


class Deed(StrEnum):
    """What happens to the process that reaches an armed point."""

    KILL = "kill"
    """SIGKILL, as the kernel or a node that loses power would."""
    STOP = "stop"
    """SIGSTOP, as a frozen VM or a long pause of the host: the process goes on at SIGCONT and does not know."""


_armed: dict[str, Deed] = {}


def arm(points: Mapping[str, Deed]) -> None:
    """Arm the points, and no others."""
    _armed.clear()
    _armed.update(points)


def reach(name: str) -> None:
    """Pass the point ``name``: does nothing unless it is armed; an armed one goes off once per process."""
    deed = _armed.pop(name, None)
    if deed is None:
        return
    log.warning("crash point %s: %s", name, deed)
    os.kill(os.getpid(), signal.SIGKILL if deed is Deed.KILL else signal.SIGSTOP)
