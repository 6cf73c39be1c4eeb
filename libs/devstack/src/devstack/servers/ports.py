"""Ports on the loopback address for servers that bind them later: nobody else is given the same one meanwhile.

A port that was only seen to be free may be taken before the server binds it, which for RabbitMQ takes seconds: by
another process that asked, or by an outgoing connection that the kernel lends it to. So ports come from below the range
that the kernel lends out (``ip_local_port_range``), one after the other for all processes of this user.
"""

import fcntl
import os
import socket
import tempfile
from pathlib import Path

LOOPBACK = "127.0.0.1"
LENT = Path("/proc/sys/net/ipv4/ip_local_port_range")
FIRST = 15_000
FEWEST = 2_000


def free_port() -> int:
    """A port that nothing listens on and that no other caller is given before all the others had their turn.

    Raises:
        OSError: every port of the range is taken.
    """
    ports = _ours()
    with os.fdopen(os.open(_turns(), os.O_RDWR | os.O_CREAT, 0o600), "r+") as turns:
        fcntl.flock(turns, fcntl.LOCK_EX)
        last = turns.read().strip()
        # Without a turn yet, start anywhere: another user of this machine counts on his own.
        turn = int(last) if last.isdecimal() else os.getpid() % len(ports)
        for step in range(1, len(ports) + 1):
            port = ports[(turn + step) % len(ports)]
            if is_free(port):
                turns.seek(0)
                turns.truncate()
                turns.write(str((turn + step) % len(ports)))
                return port
    raise OSError(f"no free port from {ports[0]} to {ports[-1]} on {LOOPBACK}")


def _ours() -> range:
    """Ports that the kernel lends to no connection; where it lends almost all, the highest that it seldom reaches."""
    try:
        first_lent = int(LENT.read_text().split()[0])
    except OSError:
        first_lent = 32_768
    if first_lent >= FIRST + FEWEST:
        return range(FIRST, first_lent)
    return range(65_535 - FEWEST, 65_535)


def _turns() -> Path:
    """The file that holds whose turn it is, for all processes of this user."""
    return Path(tempfile.gettempdir()) / f"ebm-ports-{os.getuid()}"


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Servers bind with SO_REUSEADDR: connections of the previous run in TIME_WAIT do not stop them.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def accepts(port: int) -> bool:
    """Whether something on the loopback address accepts connections at this port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((LOOPBACK, port)) == 0


def kept_or_free(wanted: int | None, previous: int | None) -> int:
    """The wanted port, else that of the previous run when still free, so that clients find the server again."""
    if wanted is not None:
        return wanted
    return previous if previous is not None and is_free(previous) else free_port()
