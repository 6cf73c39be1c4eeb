"""`/sdk`: one SOAP request in, one answer out."""

import asyncio
import inspect
import logging
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from simulators.esxi.model.host import EsxHost
from simulators.esxi.model.sessions import CURRENT, Session
from simulators.esxi.soap import calls_data, calls_service, calls_vm, objects, wire
from simulators.esxi.soap.calls import CALLS, OPEN, WRITES, Call
from simulators.esxi.soap.collector import Collector
from simulators.esxi.vmodl import MethodFault, fault, moid_of, vim, vmodl

log = logging.getLogger(__name__)
HANDLER_MODULES = (calls_data, calls_service, calls_vm)
"""Imported for the handlers that they register."""
COOKIE = "vmware_soap_session"
OPEN_PROPERTIES = {"ServiceInstance": {"content", "capability", "serverClock"}, "ha-sessionmgr": {"currentSession"}}
SECRET = frozenset({"password"})


class Endpoint:
    """The SOAP endpoint of one host."""

    def __init__(self, host: EsxHost) -> None:
        self._host = host
        self._collectors: dict[str, Collector] = {}

    async def __call__(self, request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > wire.LARGEST_MESSAGE:
                return Response("Request Entity Too Large", 413)
        session, fresh = self._session(request)
        entry: dict[str, Any] = {}
        version = None
        try:
            message = wire.parse(bytes(body), request.headers.get("soapaction", ""))
            version = message.version
            entry = self._host.log.add("soap", message.name, target=str(moid_of(message.target)), args=_shown(message))
            refused = self._host.faults.take(message.name, "status")
            if refused is not None:
                return Response(refused.detail.get("body", ""), refused.detail["status"])
            result = await self._perform(message, session)
            answer, status = wire.response(message, result), 200
            entry["outcome"] = "ok"
        except MethodFault as error:
            entry["outcome"] = type(error).__name__.rpartition(".")[2]
            answer, status = wire.fault_response(error, version), 500
        except Exception as error:  # our bug: tell the caller and keep the stack
            log.exception("call failed")
            entry["outcome"] = "internal error"
            answer, status = (
                wire.fault_response(fault(vmodl.fault.SystemError, f"internal error: {error}", reason="")),
                500,
            )
        response = Response(answer, status, media_type="text/xml")
        if fresh:
            response.set_cookie(COOKIE, f'"{session.key}"', path="/", httponly=True, secure=True)
        return response

    def _session(self, request: Request) -> tuple[Session, bool]:
        key = request.cookies.get(COOKIE, "").strip('"')
        found = self._host.sessions.find(key) if key else None
        return (found, False) if found is not None else (self._host.sessions.open(), True)

    async def _perform(self, message: wire.Message, session: Session) -> Any:
        host, name = self._host, message.name
        CURRENT.set(session)
        self._demand_session(message, session)
        slow = host.faults.take(name, "delay")
        if slow is not None:
            await asyncio.sleep(float(slow.detail.get("seconds", 1)))
        failing = host.faults.take(name, "fault")
        if failing is not None:
            raise failing.make_fault()
        if name == "Fetch":
            return objects.read_property(host, message.target, message.args["prop"])
        handler = CALLS.get(name)
        if handler is None:
            raise fault(vmodl.fault.MethodNotFound, f"{name} is not simulated", receiver=message.target, method=name)
        if name in WRITES and host.spec.licence == "free":
            raise fault(
                vim.fault.RestrictedVersion,
                "Current license or ESXi version prohibits execution of the requested operation.",
            )
        state = None if name == "DestroyPropertyFilter" else objects.demand(host, message.target)
        collector = self._collectors.setdefault(session.key, Collector())
        result = handler(Call(host, name, message.target, state, message.args, session, collector))
        return await result if inspect.isawaitable(result) else result

    def _demand_session(self, message: wire.Message, session: Session) -> None:
        if message.name in OPEN:
            return
        if message.name == "Fetch" and message.args["prop"] in OPEN_PROPERTIES.get(moid_of(message.target), ()):
            return
        if self._host.faults.take(message.name, "expire") is not None:
            self._host.sessions.end(session.key)
            session.user = None
        if session.user is None:
            raise fault(
                vim.fault.NotAuthenticated, "The session is not authenticated.",
                object=message.target, privilegeId="System.View",
            )  # fmt: skip


def _shown(message: wire.Message) -> dict[str, Any]:
    """Arguments for the log: plain values and references, nothing secret."""
    shown: dict[str, Any] = {}
    for name, value in message.args.items():
        if name in SECRET:
            shown[name] = "(hidden)"
        elif isinstance(value, str | int | bool):
            shown[name] = value
        elif wire.is_reference(value):
            shown[name] = moid_of(value)
    return shown
