"""`/folder`: datastore files over HTTPS, as strict as the host: a session or ticket, one range, locks of running VMs.

The host answers ranges with 206 without announcing `Accept-Ranges`; several ranges at once are answered with the whole.
"""

import asyncio
import base64
import contextlib
import html
import re
from collections.abc import AsyncIterator
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from simulators.esxi.http import files
from simulators.esxi.http.flow import Flow
from simulators.esxi.model.host import EsxHost
from simulators.esxi.vmodl import MethodFault

PIECE_BYTES = 1 << 20
DATACENTER = "ha-datacenter"
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def authorized(host: EsxHost, request: Request) -> bool:
    """By session cookie, by one-time ticket or by user and password."""
    key = request.cookies.get("vmware_soap_session", "").strip('"')
    session = host.sessions.find(key) if key else None
    if session is not None and session.user is not None:
        return True
    ticket = request.cookies.get("vmware_cgi_ticket", "").strip('"')
    if ticket:
        return host.sessions.redeem_ticket(ticket)
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return False
    with contextlib.suppress(ValueError):
        user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        return host.sessions.accepts(user, password)
    return False


def unauthorized() -> Response:
    return Response("Unauthorized", 401, {"WWW-Authenticate": 'Basic realm="VMware HTTP server"'})


class Folder:
    """The `/folder` tree of one host."""

    def __init__(self, host: EsxHost) -> None:
        self._host = host

    async def __call__(self, request: Request) -> Response:  # noqa: PLR0911 -- one refusal after the other
        if not authorized(self._host, request):
            return unauthorized()
        path = request.path_params.get("path", "").strip("/")
        store = request.query_params.get("dsName", "")
        if request.query_params.get("dcPath", DATACENTER) != DATACENTER or ".." in path.split("/"):
            return Response("Not Found", 404)
        if not store:
            return self._index(
                path, [f"<a href='/folder?dsName={quote(s)}'>{html.escape(s)}</a>" for s in self._host.spec.datastores]
            )
        if store not in self._host.spec.datastores:
            return Response("Not Found", 404)
        if request.method == "PUT":
            return await self._put(request, store, path)
        entry = files.lookup(self._host, store, path) if path else None
        if request.method == "DELETE":
            return await self._delete(store, path)
        if not path or (entry is not None and entry.is_folder):
            rows = [html.escape(item.name) for item in files.listing(self._host, store, path)]
            return self._index(path, rows)
        if entry is None:
            return Response("Not Found", 404)
        if entry.locked:
            return Response("Failed to lock the file", 500, {"Content-Type": "text/plain"})
        return self._send(request, entry)

    @staticmethod
    def _index(path: str, rows: list[str]) -> Response:
        body = "".join(f"<tr><td>{row}</td></tr>" for row in rows)
        return Response(
            f"<html><title>Index of {html.escape(path)}</title><table>{body}</table></html>", media_type="text/html"
        )

    def _send(self, request: Request, entry: files.Entry) -> Response:
        if entry.layer is not None and entry.layer.parent is not None:
            # A real redo log is in SEsparse format; raw bytes here would teach clients something false.
            return Response("SEsparse extents are not simulated", 501)
        start, stop, status = 0, entry.size, 200
        found = _RANGE.fullmatch(request.headers.get("range", "").strip())
        if found is not None and (found[1] or found[2]):
            start = int(found[1]) if found[1] else max(0, entry.size - int(found[2]))
            stop = min(entry.size, int(found[2]) + 1) if found[1] and found[2] else entry.size
            if start >= stop:
                return Response(status_code=416, headers={"Content-Range": f"bytes */{entry.size}"})
            status = 206
        headers = {"Content-Length": str(stop - start), "Content-Type": "application/octet-stream"}
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{entry.size}"
        if request.method == "HEAD":
            return Response(None, status, headers)
        flow = Flow(self._host, request.url.path)
        return StreamingResponse(flow.through(_pieces(entry, start, stop)), status, headers)

    async def _put(self, request: Request, store: str, path: str) -> Response:
        entry = files.lookup(self._host, store, path)
        if entry is not None and (entry.locked or entry.disk is not None or entry.is_folder):
            return Response("Failed to lock the file", 500)
        target = self._host.datastore_folder(store) / path
        if not path or not target.parent.is_dir():
            return Response("Not Found", 404)
        # The host takes no Content-Range here: whatever is sent becomes the whole file.
        partial = target.with_name(f".fill-{target.name}")
        with partial.open("wb") as out:
            async for chunk in request.stream():
                await asyncio.to_thread(out.write, chunk)
        partial.replace(target)
        return Response(status_code=200 if entry is not None else 201)

    async def _delete(self, store: str, path: str) -> Response:
        try:
            await asyncio.to_thread(files.delete, self._host, store, path)
        except MethodFault as error:
            return Response(error.msg, 404 if type(error).__name__.endswith("FileNotFound") else 500)
        return Response(status_code=200)


async def _pieces(entry: files.Entry, start: int, stop: int) -> AsyncIterator[bytes]:
    if entry.text is not None:
        yield entry.text[start:stop]
        return
    for at in range(start, stop, PIECE_BYTES):
        size = min(PIECE_BYTES, stop - at)
        if entry.layer is not None:
            yield bytes(await asyncio.to_thread(entry.layer.file.pread, at, size))
        else:
            assert entry.path is not None
            yield await asyncio.to_thread(_read_plain, entry, at, size)


def _read_plain(entry: files.Entry, at: int, size: int) -> bytes:
    assert entry.path is not None
    with entry.path.open("rb") as source:
        source.seek(at)
        return source.read(size)
