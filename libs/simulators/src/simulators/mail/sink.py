"""SMTP on one port, `GET /messages?to=` on another, one store between them.

Not here: authentication and STARTTLS; the sink accepts what a relay on loopback would.
"""

import asyncio
import base64
import uuid
from collections import deque
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators import server
from simulators.faults import Faults, Recorder, Wire, control_routes

KEPT = 10_000
"""Messages kept in memory; the oldest go first."""
SIZE_LIMIT = 25 * 1024 * 1024


@dataclass(frozen=True)
class MailConfig:
    """Where to listen; port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = 0
    smtp_port: int = 0


@dataclass
class Sink:
    """aiosmtpd's handler: keeps one entry per recipient, so that `?to=` finds blind copies too."""

    faults: Faults
    messages: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=KEPT))

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802  aiosmtpd's name
        rule = self.faults.pick("delivery", event="message", url=",".join(envelope.rcpt_tos))
        if rule is not None:
            await asyncio.sleep(rule.delay)
            if rule.status is not None:
                return f"{rule.status} refused by rule"
        content = envelope.original_content or b""
        for recipient in envelope.rcpt_tos:
            self.messages.append(_entry(recipient, content))
        return "250 OK"


def _entry(recipient: str, content: bytes) -> dict[str, Any]:
    message = message_from_bytes(content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return {
        "id": str(uuid.uuid4()),
        "to": recipient,
        "from": str(message["from"] or ""),
        "subject": str(message["subject"] or ""),
        "text": _part(message, "plain"),
        "html": _part(message, "html"),
        "message_id": str(message["message-id"] or ""),
        "attachments": [_file(part) for part in message.iter_attachments()],
    }


def _file(part: EmailMessage) -> dict[str, Any]:
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return {
        "name": part.get_filename(),
        "media_type": part.get_content_type(),
        "content": base64.b64encode(content).decode(),
    }


def _part(message: EmailMessage, kind: str) -> str | None:
    part = message.get_body(preferencelist=(kind,))
    return None if part is None else str(part.get_content())


@dataclass
class RunningMail:
    """A running sink: JSON at `url`, SMTP at `smtp_host:smtp_port`."""

    url: str
    port: int
    smtp_host: str
    smtp_port: int
    sink: Sink
    http: server.Running

    async def stop(self) -> None:
        """Close both ports."""
        await self.http.stop()


async def start(config: MailConfig) -> RunningMail:
    """Listen on both ports.

    Raises:
        OSError: a port is taken.
    """
    sink = Sink(Faults())
    recorder = Recorder()

    async def messages(request: Request) -> Response:
        to = request.query_params.get("to")
        found = [entry for entry in sink.messages if to is None or entry["to"].lower() == to.lower()]
        return JSONResponse({"results": found})

    async def forget(_: Request) -> Response:
        sink.messages.clear()
        return Response(status_code=204)

    app = Starlette(
        routes=[
            Route("/messages", messages, methods=["GET"]),
            Route("/messages", forget, methods=["DELETE"]),
            *control_routes(sink.faults, recorder),
        ]
    )
    loop = asyncio.get_running_loop()
    smtp = await loop.create_server(
        lambda: SMTP(sink, hostname="mail.sim", data_size_limit=SIZE_LIMIT, enable_SMTPUTF8=True),
        config.host,
        config.smtp_port,
    )
    http = await server.serve(Wire(app, sink.faults, recorder), config.host, config.port)

    async def close() -> None:
        smtp.close()
        await smtp.wait_closed()

    http.on_stop(close)
    return RunningMail(http.url, http.port, config.host, smtp.sockets[0].getsockname()[1], sink, http)
