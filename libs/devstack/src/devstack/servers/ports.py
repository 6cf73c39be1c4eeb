"""Free ports on the loopback address: free when asked, not reserved. Whoever binds late must be ready to ask again."""

import socket

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """A port that nothing on the loopback address listens on right now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


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
