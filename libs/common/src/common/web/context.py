"""Raw ASGI middleware: request id, trace, language-free access log, metrics, and the last resort for bugs."""

import logging
import re
import time
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.ids import uuid7
from common.telemetry.context import span
from common.telemetry.metrics import HTTP_REQUESTS, HTTP_SECONDS
from common.web.problems import _plain

log = logging.getLogger("access")

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,100}")


class RequestContext:
    """Binds a request's ids to everything that happens inside it.

    Args:
        app: What is wrapped.
        service: Label of log lines and metrics.
    """

    def __init__(self, app: ASGIApp, service: str) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; other ASGI scopes pass unchanged."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        offered = headers.get("x-request-id", "")
        request_id = offered if REQUEST_ID.fullmatch(offered) else str(uuid7())
        scope.setdefault("state", {})["request_id"] = request_id
        tenant = headers.get("x-tenant-id")
        fields = {"tenant_id": tenant} if tenant else {}
        with span(f"{scope['method']}", parent=headers.get("traceparent"), correlation=request_id, fields=fields):
            await self._answer(scope, receive, send, request_id)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        started = time.perf_counter()
        status: list[int] = []

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                status.append(message["status"])
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            log.exception("unforeseen")
            if status:
                raise
            request = Request(scope, receive)
            await _plain(request, 500, "internal_error")(scope, receive, send_with_id)
        finally:
            self._record(scope, status[0] if status else 499, time.perf_counter() - started)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route: Any = scope.get("route")
        path = getattr(route, "path", "unmatched")
        HTTP_REQUESTS.labels(self._service, scope["method"], path, str(status)).inc()
        HTTP_SECONDS.labels(self._service, scope["method"], path).observe(seconds)
        acting = scope["state"].get("impersonator")
        log.info(
            "answered",
            extra={
                "method": scope["method"],
                "route": path,
                "status": status,
                "milliseconds": round(seconds * 1000, 2),
                **({} if acting is None else {"impersonator": str(acting)}),
            },
        )
