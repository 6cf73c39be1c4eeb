"""HTTP transfers with pinned hosts: lease streams and datastore files. No redirects, no proxies, no cookies of its own.

URLs are built from the dialled address, so that nothing is resolved a second time.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

import aiohttp
from aiohttp.connector import NEEDS_CLEANUP_CLOSED
from yarl import URL

from backup_engine.adapters.vsphere.dialer import CONNECT_SECONDS, PinnedHost
from backup_engine.errors.hypervisor import CertificateChanged, HostUnreachable
from backup_engine.ports.hypervisor import Fence

IDLE_SECONDS = 120.0
"""A transfer that moves nothing for so long is dead; a host that merges snapshots pauses for tens of seconds."""
BUFFER_BYTES = 1 << 20
"""Read-ahead per connection."""


class HttpData:
    """Requests to pinned hosts, over kept connections, for one session.

    Args:
        fence: called before each request and each piece of data in either direction.
        connections: most connections to one host at a time.
    """

    def __init__(self, fence: Fence, *, connections: int = 10) -> None:
        self._fence = fence
        self._connections = connections
        self._sessions: dict[PinnedHost, aiohttp.ClientSession] = {}

    @contextlib.asynccontextmanager
    async def request(
        self,
        method: str,
        pinned: PinnedHost,
        target: str,
        *,
        headers: Mapping[str, str],
        body: AsyncIterator[bytes] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request; `target` is the encoded path with query. The answer's status is the caller's to judge.

        Raises:
            CertificateChanged: another certificate than the pinned one answered.
            HostUnreachable: no connection, or it broke before the answer's head.
        """
        self._fence()
        address = f"[{pinned.address}]" if ":" in pinned.address else pinned.address
        url = URL(f"https://{address}:{pinned.port}{target}", encoded=True)
        session = self._session(pinned)
        try:
            async with asyncio.timeout(None) as stall:
                answer = await session.request(
                    method,
                    url,
                    headers={**headers, "Host": pinned.authority},
                    data=self._watched(body, stall) if body is not None else None,
                    allow_redirects=False,
                    server_hostname=pinned.host.strip("[]"),
                )
        except aiohttp.ServerFingerprintMismatch as error:
            raise CertificateChanged(host=pinned.host, expected=pinned.thumbprint, seen=error.got.hex()) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise HostUnreachable(host=pinned.host, reason=_why(error)) from error
        try:
            yield answer
        finally:
            # A body that was not read to its end would block the connection, and so would waiting for a host in the
            # middle of a disk to say good-bye: it is ended at once.
            if answer.content.at_eof():
                answer.release()
            else:
                if answer.connection is not None and answer.connection.transport is not None:
                    answer.connection.transport.abort()
                answer.close()

    async def pieces(self, answer: aiohttp.ClientResponse, host: str) -> AsyncIterator[bytes]:
        """The answer's body as it arrives. Raises HostUnreachable when it breaks."""
        try:
            async for piece in answer.content.iter_any():
                self._fence()
                yield piece
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise HostUnreachable(host=host, reason=_why(error)) from error

    async def close(self) -> None:
        """End all connections."""
        while self._sessions:
            _, session = self._sessions.popitem()
            await session.close()
            # Transports that were aborted tell the loop in its next round.
            await asyncio.sleep(0)

    def _session(self, pinned: PinnedHost) -> aiohttp.ClientSession:
        session = self._sessions.get(pinned)
        if session is None:
            connector = aiohttp.TCPConnector(
                ssl=aiohttp.Fingerprint(bytes.fromhex(pinned.thumbprint)),
                limit=self._connections,
                # Where the interpreter loses TLS connections that the peer does not close in its turn.
                enable_cleanup_closed=NEEDS_CLEANUP_CLOSED,
            )
            session = self._sessions[pinned] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=IDLE_SECONDS),
                auto_decompress=False,
                read_bufsize=BUFFER_BYTES,
                trust_env=False,
                skip_auto_headers=("Accept-Encoding", "User-Agent"),
            )
        return session

    async def _watched(self, body: AsyncIterator[bytes], stall: asyncio.Timeout) -> AsyncIterator[bytes]:
        """The body, fenced; `stall` runs only while the host takes a piece, not while the next one is made."""
        async for piece in body:
            self._fence()
            stall.reschedule(asyncio.get_running_loop().time() + IDLE_SECONDS)
            yield piece
            stall.reschedule(None)


def _why(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return "nothing moved in time" if isinstance(error, TimeoutError) else text[:200]
