"""Why a server cannot be had.

ServerError
├── ServerUnreachable
├── ServerDidNotStart
└── BinariesMissing
    └── RabbitUnavailable
"""


class ServerError(Exception):
    """A server that the project needs on this machine is not there."""


class ServerUnreachable(ServerError):
    """The URL in the environment names a server that does not answer or refuses its credentials."""


class ServerDidNotStart(ServerError):
    """A server that we started ended or stayed silent; the message carries the end of its log."""


class BinariesMissing(ServerError):
    """The programs of a server are neither installed nor obtainable."""


class RabbitUnavailable(BinariesMissing):
    """No RabbitMQ: not named by URL, not installed, not obtainable from the system's packages."""
