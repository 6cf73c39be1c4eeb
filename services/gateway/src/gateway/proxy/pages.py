"""What the gateway answers itself: health, the merged API document and its browsable page."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.responses import HTMLResponse, JSONResponse, Response

from gateway.proxy.api_document import ApiDocument
from gateway.proxy.api_page import render

CSP = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"


@dataclass(frozen=True, slots=True)
class PageRoute:
    """The row of a page, for logs and metrics."""

    path: str


@dataclass(frozen=True, slots=True)
class Page:
    """An answer of the gateway's own."""

    route: PageRoute
    response: Response


class Pages:
    """The gateway's own paths, all of them public and read only.

    Args:
        document: the merged API document.
        ready: tells what is missing, or None.
    """

    def __init__(self, document: ApiDocument, ready: Callable[[], Awaitable[str | None]]) -> None:
        self._document = document
        self._ready = ready
        self._makers: dict[str, Callable[[], Awaitable[Response]]] = {
            "/healthz": self._health,
            "/readyz": self._readiness,
            "/openapi.json": self._openapi,
            "/docs": self._docs,
        }

    @property
    def paths(self) -> frozenset[str]:
        return frozenset(self._makers)

    async def page(self, method: str, path: str) -> Page | None:
        """The answer for a path of ours; None where the path is not ours or the method is not one that reads."""
        maker = self._makers.get(path)
        if maker is None or method not in {"GET", "HEAD"}:
            return None
        return Page(PageRoute(path), await maker())

    async def _health(self) -> Response:
        return JSONResponse({"status": "ok"})

    async def _readiness(self) -> Response:
        missing = await self._ready()
        if missing is None:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "unready", "missing": missing}, status_code=503)

    async def _openapi(self) -> Response:
        return JSONResponse(await self._document.merged())

    async def _docs(self) -> Response:
        document: dict[str, Any] = await self._document.merged()
        return HTMLResponse(render(document), headers={"Content-Security-Policy": CSP})
