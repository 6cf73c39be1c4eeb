"""Sends webhooks to where customers receive them, over ways that lead to nothing inside (`public_addresses`).

Whose server it is may have any reason to answer late, for ever, or elsewhere: there is one time for all of it, little
is read, nothing is unpacked and nowhere is followed to.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from ssl import SSLError

import httpx

from tenancy.adapters.public_addresses import AddressRefused
from tenancy.domain.webhooks import Heard, Message

AGENT = "esxi-backup-manager-webhooks/1"
MOST_READ = 4096
"""Bytes of an answer's body that are read; 2xx with more is as good as with less."""

MOST_KEPT = 2000
"""Characters of a head or a body that are kept for the log."""


class HttpReceivers:
    """Posts messages.

    Args:
        transport: makes the way to one receiver, which is closed after use.
        patience: for the whole of one try, from the name to the answer.
    """

    def __init__(self, transport: Callable[[], httpx.AsyncBaseTransport], patience: timedelta) -> None:
        self._transport = transport
        self._seconds = patience.total_seconds()

    async def post(self, message: Message) -> Heard:
        """Send one message once; what goes wrong is in the answer and not raised."""
        heard = Heard(error="timed_out")
        try:
            async with asyncio.timeout(self._seconds):
                async with (
                    self._client() as client,
                    client.stream("POST", message.url, content=message.body, headers=dict(message.headers)) as answer,
                ):
                    heard = _heard(answer, b"")
                    heard = _heard(answer, await _beginning(answer))
        except AddressRefused:
            return Heard(error="address_refused")
        except TimeoutError:
            return heard
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
            # What came before the line broke counts: the receiver has said what became of the message.
            return heard if heard.status is not None else Heard(error=_named(error))
        return heard

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=self._transport(),
            headers={"user-agent": AGENT, "accept": "*/*", "accept-encoding": "identity"},
            timeout=self._seconds,
            follow_redirects=False,
            trust_env=False,
        )


async def _beginning(answer: httpx.Response) -> bytes:
    body = b""
    async for piece in answer.aiter_raw():
        body += piece[: MOST_READ - len(body)]
        if len(body) >= MOST_READ:
            break
    return body


def _heard(answer: httpx.Response, body: bytes) -> Heard:
    lines = [f"{answer.status_code} {answer.reason_phrase}", *(f"{name}: {value}" for name, value in _fields(answer))]
    return Heard(
        status=answer.status_code,
        head=storable("\n".join(lines)),
        body=storable(body.decode("utf-8", "replace")),
        retry_after=_wish(answer.headers.get("retry-after")),
    )


def _fields(answer: httpx.Response) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers.raw]


def storable(text: str) -> str:
    """As much of a text as is kept, without what PostgreSQL does not take."""
    return text.replace("\0", "\ufffd")[:MOST_KEPT]


def _wish(field: str | None) -> timedelta | None:
    """What `Retry-After` asks for (RFC 9110, section 10.2.3): seconds or a date."""
    if field is None:
        return None
    try:
        if field.isascii() and field.isdigit():
            return timedelta(seconds=min(int(field), 10**8))
        return max(timedelta(), parsedate_to_datetime(field).astimezone(UTC) - datetime.now(UTC))
    except (ValueError, TypeError, OverflowError):
        return None


def _named(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "timed_out"
    if isinstance(error, httpx.ConnectError):
        causes = (error.__cause__, error.__context__, *error.args)
        inside = " ".join(map(str, causes)).lower()
        if any(isinstance(cause, SSLError) for cause in causes) or "ssl" in inside or "certificate" in inside:
            return "tls_failed"
        return "name_not_resolved" if "cannot be resolved" in str(error) else "connection_failed"
    return "bad_answer" if isinstance(error, httpx.RemoteProtocolError) else "connection_lost"
