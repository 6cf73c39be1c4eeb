"""Faults as data, and a record of what arrived: the part of `/_sim/` that every simulator has.

A rule names what it matches and what goes wrong. Request rules act on the wire (`Wire`); delivery rules act on what a
simulator sends by itself (webhooks, callbacks); `effect` is read by the simulator concerned (a capture that stays
pending, for instance). Not here: which outcomes a provider knows.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

RECORDED = 5000
"""Requests kept for GET /_sim/requests; older ones are forgotten."""
BODY_LIMIT = 4 * 1024 * 1024


@dataclass
class Rule:
    """One fault. The first rule that matches, has `times` left and wins its `probability` acts."""

    target: str = "request"
    """`request` (what comes in) or `delivery` (what the simulator sends)."""
    match: dict[str, str] = field(default_factory=dict)
    """Fact name to glob; every one must fit. Requests: method, path. Deliveries: event, url."""
    status: int | None = None
    """Answer this status without doing the work. For deliveries: take this as the receiver's answer."""
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    """Seconds before anything else happens."""
    drop: str | None = None
    """`before`: cut the connection, nothing was done; `after`: do the work, then lose the answer."""
    duplicate: int = 0
    """Deliver so many further copies."""
    reorder: bool = False
    """Hold this delivery back until the next one has been sent."""
    effect: dict[str, Any] = field(default_factory=dict)
    """What the simulator itself should do differently; its own words."""
    times: int | None = None
    """How often the rule acts; None: for ever."""
    probability: float = 1.0

    @classmethod
    def parse(cls, data: Any) -> "Rule":
        """Build a rule from JSON.

        Raises:
            ValueError: an unknown field, or a value that cannot be meant.
        """
        if not isinstance(data, dict):
            raise ValueError("a rule is an object")  # noqa: TRY004  one kind of refusal for the caller
        unknown = set(data) - {known.name for known in fields(cls)}
        if unknown:
            raise ValueError(f"unknown rule field {min(unknown)!r}")
        rule = cls(**data)
        if rule.target not in ("request", "delivery"):
            raise ValueError("target is request or delivery")
        if rule.drop not in (None, "before", "after"):
            raise ValueError("drop is before or after")
        return rule

    def fits(self, target: str, facts: Mapping[str, str]) -> bool:
        return self.target == target and all(
            name in facts and fnmatchcase(facts[name], pattern) for name, pattern in self.match.items()
        )


class Faults:
    """The rules in force. One seed makes the same chances fall the same way again."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self._chance = random.Random(0)

    def replace(self, data: Any) -> None:
        """Put `{"rules": [...], "seed": n}` in force instead of what was.

        Raises:
            ValueError: malformed; the former rules stay.
        """
        if not isinstance(data, dict) or not isinstance(data.get("rules"), list):
            raise ValueError('expected {"rules": [...]}')  # noqa: TRY004  one kind of refusal for the caller
        self.rules = [Rule.parse(rule) for rule in data["rules"]]
        self._chance = random.Random(data.get("seed", 0))

    def pick(self, target: str, **facts: str) -> Rule | None:
        """The rule that acts on this occasion, counted as used; None where nothing goes wrong."""
        for rule in self.rules:
            if rule.times == 0 or not rule.fits(target, facts) or self._chance.random() >= rule.probability:
                continue
            if rule.times is not None:
                rule.times -= 1
            return rule
        return None


class Recorder:
    """What arrived on the wire, oldest first, with the status that was answered (0: connection cut)."""

    def __init__(self) -> None:
        self.entries: deque[dict[str, Any]] = deque(maxlen=RECORDED)

    def add(self, request: Request, body: bytes, status: int) -> None:
        self.entries.append(
            {
                "at": time.time(),
                "method": request.method,
                "path": request.url.path,
                "query": request.url.query,
                "headers": dict(request.headers),
                "body": body.decode("utf-8", "replace"),
                "status": status,
            }
        )


class Wire:
    """ASGI middleware between the socket and a provider: applies request rules and records; `/_sim/` passes untouched.

    The application finds the rule that acts on its request in `scope["state"]["rule"]` for its `effect`.
    """

    def __init__(self, app: ASGIApp, faults: Faults, recorder: Recorder) -> None:
        self._app = app
        self._faults = faults
        self._recorder = recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/_sim/"):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        body = await _read(request)
        rule = self._faults.pick("request", method=request.method, path=request.url.path)
        scope.setdefault("state", {})["rule"] = rule
        if rule is not None:
            await asyncio.sleep(rule.delay)
        status = await self._answer(scope, send, rule, body, _Cut(receive))
        self._recorder.add(request, body, status)

    async def _answer(self, scope: Scope, send: Send, rule: Rule | None, body: bytes, cut: "_Cut") -> int:
        if rule is not None and rule.drop == "before":
            await cut()
            return 0
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            if rule is None or rule.drop != "after":
                await send(message)

        if rule is not None and rule.status is not None:
            await _said(rule)(scope, _replay(body), watched)
        else:
            await self._app(scope, _replay(body), watched)
        if rule is not None and rule.drop == "after":
            await cut()
            return 0
        return status


def _said(rule: Rule) -> Response:
    assert rule.status is not None
    if rule.body is None:
        return Response(status_code=rule.status, headers=rule.headers)
    if isinstance(rule.body, str):
        return Response(rule.body, rule.status, rule.headers)
    return JSONResponse(rule.body, rule.status, rule.headers)


async def _read(request: Request) -> bytes:
    parts = bytearray()
    async for chunk in request.stream():
        parts += chunk
        if len(parts) > BODY_LIMIT:
            break
    return bytes(parts)


def _replay(body: bytes) -> Receive:
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


class _Cut:
    def __init__(self, receive: Receive) -> None:
        self._receive = receive

    async def __call__(self) -> None:
        # ASGI has no word for «cut the connection»; uvicorn's cycle object, which `receive` belongs to, has the socket.
        self._receive.__self__.transport.abort()  # type: ignore[attr-defined]
        while (await self._receive())["type"] != "http.disconnect":
            pass


def control_routes(faults: Faults, recorder: Recorder) -> list[Route]:
    """PUT and GET /_sim/faults, GET /_sim/requests, DELETE /_sim/requests."""

    async def put_faults(request: Request) -> Response:
        try:
            faults.replace(await request.json())
        except (ValueError, TypeError) as error:
            return JSONResponse({"error": str(error)}, 422)
        return JSONResponse({"rules": len(faults.rules)})

    async def get_faults(_: Request) -> Response:
        return JSONResponse({"rules": [vars(rule) for rule in faults.rules]})

    async def get_requests(request: Request) -> Response:
        path = request.query_params.get("path")
        found = [entry for entry in recorder.entries if path is None or fnmatchcase(entry["path"], path)]
        return JSONResponse({"results": found})

    async def delete_requests(_: Request) -> Response:
        recorder.entries.clear()
        return Response(status_code=204)

    return [
        Route("/_sim/faults", put_faults, methods=["PUT"]),
        Route("/_sim/faults", get_faults, methods=["GET"]),
        Route("/_sim/requests", get_requests, methods=["GET"]),
        Route("/_sim/requests", delete_requests, methods=["DELETE"]),
    ]
