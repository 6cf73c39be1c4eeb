"""How strictly requests are read off a connection, beyond what the parser refuses by itself.

Two programs that read one request differently are how one request hides in another (RFC 9112 §11.2). So what a proxy
in front or a service behind could take otherwise is answered 400 and its connection is closed.
"""

import re
from collections.abc import Sequence

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HOST = re.compile(rb"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


class AmbiguousRequest(ValueError):
    """Raised into the parser, which then refuses the request."""


class StrictProtocol(HttpToolsProtocol):
    """Uvicorn's own reading with one target form, one host and one framing."""

    def on_headers_complete(self) -> None:
        """Refuse before anything is made of the request."""
        if not is_unambiguous(self.url, self.headers, self.parser.get_http_version()):
            raise AmbiguousRequest
        super().on_headers_complete()


def is_unambiguous(target: bytes, headers: Sequence[tuple[bytes, bytes]], version: str) -> bool:
    """Whether every reader finds the same target, host and end of the request.

    Args:
        target: as it stands in the request line; only the origin form (RFC 9112 §3.2.1) is served.
        headers: names in lower case.
        version: such as `1.1`.
    """
    if not target.startswith(b"/") or b"#" in target:
        return False
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        return False
    encodings = [value for name, value in headers if name == b"transfer-encoding"]
    return not encodings or (encodings == [b"chunked"] and version == "1.1")
