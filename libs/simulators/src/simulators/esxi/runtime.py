"""Starting and stopping a simulated host inside the caller's event loop; several in one process are fine."""

import asyncio
import shutil
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from simulators.esxi.http.control import Control, UnknownError
from simulators.esxi.http.flow import CutError
from simulators.esxi.http.folder import Folder
from simulators.esxi.http.nfc import Nfc
from simulators.esxi.model.guest import BackgroundGuest
from simulators.esxi.model.host import EsxHost
from simulators.esxi.model.leases import LeaseOverError
from simulators.esxi.soap import wire
from simulators.esxi.soap.endpoint import Endpoint
from simulators.esxi.spec import HostSpec, VmSpec
from simulators.server import Running, serve
from simulators.tls import self_signed

KEEP_ALIVE_SECONDS = 900
"""pyvmomi keeps idle connections for 15 minutes and does not retry on one that the host has closed."""


@dataclass(frozen=True)
class RunningEsxi:
    """What a client needs to know. `control_url` is plain http, without a trailing slash."""

    host: str
    port: int
    username: str
    password: str
    thumbprint: str
    control_url: str
    simulator: "EsxiSimulator"

    def announced(self) -> dict[str, Any]:
        """As written for people and programs."""
        return {
            "host": self.host,
            "port": self.port,
            "username": self.username,
            "password": self.password,
            "thumbprint": self.thumbprint,
            "control": self.control_url,
        }

    async def stop(self) -> None:
        await self.simulator.stop()


class Wire:
    """ASGI: logs datastore and NFC requests, applies `delay` and `status`, ends connections that are to be cut."""

    def __init__(self, app: ASGIApp, host: EsxHost) -> None:
        self._app, self._host = app, host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/sdk"):
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        entry = self._host.log.add(
            "http", path, method=scope["method"], query=scope["query_string"].decode("latin-1"),
            range=headers.get("range"), status=0,
        )  # fmt: skip

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry["status"] = message["status"]
            await send(message)

        slow, refused = self._host.faults.take(path, "delay"), self._host.faults.take(path, "status")
        if slow is not None:
            await asyncio.sleep(float(slow.detail.get("seconds", 1)))
        if refused is not None:
            answer = Response(refused.detail.get("body", ""), refused.detail["status"])
            await answer(scope, receive, watched)
            return
        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if not _is_cut(error):
                raise
            # ASGI has no word for «cut the connection»; uvicorn's cycle object holds the socket.
            receive.__self__.transport.abort()  # type: ignore[attr-defined]
            while (await receive())["type"] != "http.disconnect":
                pass


def _is_cut(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_is_cut(inner) for inner in error.exceptions)
    return isinstance(error, CutError | LeaseOverError)


class EsxiSimulator:
    """One host with its two listeners."""

    def __init__(self, spec: HostSpec) -> None:
        self.spec = spec
        self.host = EsxHost(spec)
        self._nfc = Nfc(self.host)
        self._guest = BackgroundGuest(lambda: list(self.host.vms.values()))
        self._listeners: list[Running] = []

    async def start(self) -> RunningEsxi:
        """Build the disks, then listen.

        Raises:
            ToolMissingError: e2fsprogs is not installed.
            OSError: a port is taken.
        """
        spec = self.spec
        certificate = await asyncio.to_thread(self_signed, spec.folder / "ssl", spec.name, spec.host)
        for vm in spec.vms:
            await self.add_vm(vm)
        wire_app = Wire(self._app(), self.host)
        main = await serve(
            wire_app, spec.host, spec.port,
            ssl_certfile=str(certificate.certificate), ssl_keyfile=str(certificate.key), keep_alive=KEEP_ALIVE_SECONDS,
        )  # fmt: skip
        self._listeners.append(main)
        control = await serve(self._control_app(), spec.host, spec.control_port)
        self._listeners.append(control)
        self._guest.start()
        return RunningEsxi(
            spec.host, main.port, spec.username, spec.password, certificate.thumbprint, control.url, self
        )  # fmt: skip

    @property
    def listener(self) -> Running:
        """The https listener, once started."""
        return self._listeners[0]

    async def add_vm(self, spec: VmSpec) -> str:
        """Build one more VM; its managed object id."""
        vm = await asyncio.to_thread(self.host.build, spec)
        self.host.register(vm)
        return vm.moid

    async def stop(self, *, erase: bool = False) -> None:
        """Close the ports and the disks; `erase` also deletes the folder."""
        await self._guest.stop()
        self.host.stopping = True
        self.host.changed()
        while self._listeners:
            await _close(self._listeners.pop())
        self._nfc.close()
        await self.host.stop()
        if erase:
            await asyncio.to_thread(shutil.rmtree, self.spec.folder, ignore_errors=True)

    def _app(self) -> Starlette:
        folder = Folder(self.host)
        return Starlette(
            routes=[
                Route("/sdk", Endpoint(self.host).__call__, methods=["POST"]),
                Route("/sdk/vimServiceVersions.xml", _versions),
                Route("/folder", folder.__call__, methods=["GET", "HEAD", "PUT", "DELETE"]),
                Route("/folder/{path:path}", folder.__call__, methods=["GET", "HEAD", "PUT", "DELETE"]),
                Route("/nfc/{lease}/{name:path}", self._nfc.__call__, methods=["GET", "HEAD", "POST", "PUT"]),
            ]
        )

    def _control_app(self) -> Starlette:
        handlers = {UnknownError: _unknown, KeyError: _malformed, ValueError: _malformed}
        return Starlette(routes=Control(self.host).routes(), exception_handlers=handlers)


async def _close(listener: Running) -> None:
    # Idle clients would hold a TLS close back for seconds; a host that goes down does not wait for them either.
    for connection in list(listener._server.server_state.connections):  # noqa: SLF001 -- uvicorn has no other way
        connection.transport.abort()
    await listener.stop()


async def _versions(_: Request) -> Response:
    return Response(wire.service_versions(), media_type="text/xml")


async def _unknown(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 404)


async def _malformed(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"bad request: {error}"}, 422)


async def start(spec: HostSpec) -> RunningEsxi:
    """Start a host; `stop()` of what is returned ends it."""
    return await EsxiSimulator(spec).start()
