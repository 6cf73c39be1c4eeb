"""The Collections and sandbox provisioning APIs of MTN MoMo over HTTP, with their quirks, and `/_sim/`.

The order of checks is the real one: subscription key (the API gateway), then credentials, then environment, then the
request. Not here: Disbursement (refunds), consent (bc-authorize), invoices and preapprovals.
"""

import base64
import binascii
import secrets
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators import server
from simulators.faults import Faults, Recorder, Wire, control_routes
from simulators.mtn_momo.checks import BAD_REQUEST, body_fault, callback_fault, is_uuid4
from simulators.mtn_momo.outcomes import HOLDERS, PAYERS, PAYS, Refusal, refusal
from simulators.mtn_momo.payments import AlreadyFinalError, Ledger, RequestToPay
from simulators.server import Background, UrlMap

CURRENCIES = {"sandbox": "EUR", "mtncameroon": "XAF"}
TOKEN_SECONDS = 3600

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class MoMoConfig:
    """One environment of the provider and one API user in it; delays are seconds."""

    host: str = "127.0.0.1"
    port: int = 0
    environment: str = "mtncameroon"
    subscription_key: str = "momo-collection-key"
    api_user: str = "8a3f3c52-6d1c-4c67-9f0a-2f6b1f2f9d11"
    api_key: str = "momo-api-key"
    callback_host: str = "backup.example"
    """providerCallbackHost of the API user: the only host that X-Callback-Url may name."""
    url_map: Mapping[str, str] = field(default_factory=dict)
    approval_delay: float = 2.0
    ongoing_delay: float = 30.0
    callback_method: Literal["PUT", "POST"] = "PUT"
    reason_as_object: bool = False
    balance_allowed: bool = True
    token_seconds: int = TOKEN_SECONDS

    @property
    def currency(self) -> str:
        return CURRENCIES[self.environment]


@dataclass
class ApiUser:
    """A user of the API; without a key it cannot sign in yet."""

    callback_host: str
    key: str | None = None


class MoMo:
    """All state of one simulated provider, and the routes on it."""

    def __init__(self, config: MoMoConfig) -> None:
        if config.environment not in CURRENCIES:
            raise ValueError(f"environment is one of {sorted(CURRENCIES)}")
        self._config = config
        self.faults = Faults()
        self.recorder = Recorder()
        self.background = Background()
        self.urls = UrlMap(config.url_map)
        self._users = {config.api_user: ApiUser(config.callback_host, config.api_key)}
        self._tokens: dict[str, tuple[str, float]] = {}
        self.ledger = Ledger(
            faults=self.faults,
            urls=self.urls,
            background=self.background,
            approval_delay=config.approval_delay,
            ongoing_delay=config.ongoing_delay,
            callback_method=config.callback_method,
            reason_as_object=config.reason_as_object,
        )

    def app(self) -> Wire:
        """The ASGI application, faults and recording around it."""
        collection = "/collection/v1_0"
        routes = [
            Route("/collection/token/", self._token, methods=["POST"]),
            Route(f"{collection}/requesttopay", self._guarded(self._request_to_pay), methods=["POST"]),
            Route(f"{collection}/requesttopay/{{reference}}", self._guarded(self._status), methods=["GET"]),
            Route(f"{collection}/account/balance", self._guarded(self._balance), methods=["GET"]),
            Route(
                f"{collection}/accountholder/{{kind}}/{{holder}}/active", self._guarded(self._active), methods=["GET"]
            ),
            Route("/_sim/decide", self._decide, methods=["POST"]),
            Route("/_sim/map", self._map, methods=["PUT"]),
            *control_routes(self.faults, self.recorder),
        ]
        if self._config.environment == "sandbox":
            # Production has no provisioning API: users and keys are made in the partner portal.
            routes += [
                Route("/v1_0/apiuser", self._create_user, methods=["POST"]),
                Route("/v1_0/apiuser/{user}/apikey", self._create_key, methods=["POST"]),
                Route("/v1_0/apiuser/{user}", self._show_user, methods=["GET"]),
            ]
        app = Starlette(routes=routes)
        app.router.redirect_slashes = False
        return Wire(app, self.faults, self.recorder)

    # --- credentials -------------------------------------------------------------------------------------------

    def _key_fault(self, request: Request) -> Response | None:
        offered = request.headers.get("ocp-apim-subscription-key")
        if offered == self._config.subscription_key:
            return None
        problem = "missing subscription key" if offered is None else "invalid subscription key"
        message = f"Access denied due to {problem}. Make sure to provide a valid key for an active subscription."
        return JSONResponse({"statusCode": 401, "message": message}, 401)

    async def _token(self, request: Request) -> Response:
        if (fault := self._key_fault(request)) is not None:
            return fault
        if await request.body():
            return Response(status_code=400)
        user, key = _basic(request.headers.get("authorization", ""))
        known = self._users.get(user)
        if known is None or known.key is None or not secrets.compare_digest(known.key, key):
            # Wrong credentials are really answered 500, not 401.
            return JSONResponse({"error": "login_failed"}, 500)
        token = secrets.token_urlsafe(48)
        self._tokens[token] = (user, time.monotonic() + self._config.token_seconds)
        return JSONResponse(
            {"access_token": token, "token_type": "access_token", "expires_in": self._config.token_seconds}
        )

    def _user(self, request: Request) -> ApiUser | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        user, ends = self._tokens.get(token.strip(), ("", 0.0))
        return self._users[user] if scheme == "Bearer" and time.monotonic() < ends else None

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            if (fault := self._key_fault(request)) is not None:
                return fault
            user = self._user(request)
            if user is None:
                return JSONResponse({"error": "invalid_token"}, 401)
            if request.headers.get("x-target-environment") != self._config.environment:
                return _refused(refusal(500, "NOT_ALLOWED_TARGET_ENVIRONMENT"))
            request.state.user = user
            return await handler(request)

        return guarded

    # --- Collections -------------------------------------------------------------------------------------------

    async def _request_to_pay(self, request: Request) -> Response:
        reference = request.headers.get("x-reference-id")
        callback_url = request.headers.get("x-callback-url")
        if reference is None or not is_uuid4(reference):
            return _refused(BAD_REQUEST)
        try:
            body: Any = await request.json()
        except ValueError:
            return _refused(BAD_REQUEST)
        fault = body_fault(body, self._config.currency) or callback_fault(
            callback_url, request.state.user.callback_host
        )
        if fault is not None:
            return _refused(fault)
        if self.ledger.find(reference) is not None:
            return _refused(refusal(409, "RESOURCE_ALREADY_EXIST"))
        course = PAYERS.get(body["payer"]["partyId"], PAYS)
        if isinstance(course, Refusal):
            return _refused(course)
        self.ledger.accept(RequestToPay(reference, body, callback_url), course)
        return Response(status_code=202)

    async def _status(self, request: Request) -> Response:
        reference = request.path_params["reference"]
        if not is_uuid4(reference):
            return _refused(BAD_REQUEST)
        found = self.ledger.find(reference)
        if found is None:
            return _refused(refusal(404, "RESOURCE_NOT_FOUND"))
        return JSONResponse(found.result(reason_as_object=self.ledger.reason_as_object))

    async def _balance(self, _: Request) -> Response:
        if not self._config.balance_allowed:
            return _refused(refusal(500, "NOT_ALLOWED"))
        return JSONResponse({"availableBalance": str(self.ledger.balance), "currency": self._config.currency})

    async def _active(self, request: Request) -> Response:
        if request.path_params["kind"] != "msisdn":
            return _refused(BAD_REQUEST)
        answer = HOLDERS.get(request.path_params["holder"], True)
        return _refused(answer) if isinstance(answer, Refusal) else JSONResponse({"result": answer})

    # --- sandbox provisioning ----------------------------------------------------------------------------------

    async def _create_user(self, request: Request) -> Response:
        if (fault := self._key_fault(request)) is not None:
            return fault
        user = request.headers.get("x-reference-id", "")
        try:
            host = (await request.json())["providerCallbackHost"]
        except (ValueError, KeyError, TypeError):
            return _refused(BAD_REQUEST)
        if not is_uuid4(user) or not isinstance(host, str) or not host or "/" in host:
            return _refused(BAD_REQUEST)
        if user in self._users:
            return _refused(refusal(409, "RESOURCE_ALREADY_EXIST"))
        self._users[user] = ApiUser(host)
        return Response(status_code=201)

    async def _create_key(self, request: Request) -> Response:
        if (fault := self._key_fault(request)) is not None:
            return fault
        user = self._users.get(request.path_params["user"])
        if user is None:
            return _refused(refusal(404, "RESOURCE_NOT_FOUND"))
        user.key = uuid.uuid4().hex
        return JSONResponse({"apiKey": user.key}, 201)

    async def _show_user(self, request: Request) -> Response:
        if (fault := self._key_fault(request)) is not None:
            return fault
        user = self._users.get(request.path_params["user"])
        if user is None:
            return _refused(refusal(404, "RESOURCE_NOT_FOUND"))
        return JSONResponse({"providerCallbackHost": user.callback_host, "targetEnvironment": self._config.environment})

    # --- control -----------------------------------------------------------------------------------------------

    async def _decide(self, request: Request) -> Response:
        wanted = await request.json()
        found = self.ledger.find(str(wanted.get("reference")))
        if found is None:
            return JSONResponse({"error": "no such reference"}, 404)
        if wanted.get("status") not in ("SUCCESSFUL", "FAILED"):
            return JSONResponse({"error": "status is SUCCESSFUL or FAILED"}, 422)
        try:
            self.ledger.decide(found, wanted["status"], wanted.get("reason"))
        except AlreadyFinalError:
            return JSONResponse({"error": f"already {found.status}"}, 409)
        return JSONResponse(found.result(reason_as_object=self.ledger.reason_as_object))

    async def _map(self, request: Request) -> Response:
        self.urls.update(await request.json())
        return Response(status_code=204)


def _basic(header: str) -> tuple[str, str]:
    """User and password of a Basic header; two empty texts where it is none."""
    scheme, _, value = header.partition(" ")
    try:
        user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return (user, password) if scheme == "Basic" else ("", "")


def _refused(fault: Refusal) -> Response:
    if not fault.code:
        return Response(status_code=fault.status)
    return JSONResponse({"code": fault.code, "message": fault.message}, fault.status)


async def start(config: MoMoConfig) -> server.Running:
    """Listen and answer as MTN does.

    Raises:
        OSError: the port is taken.
        ValueError: unknown environment.
    """
    momo = MoMo(config)
    running = await server.serve(momo.app(), config.host, config.port)
    running.on_stop(momo.background.stop)
    return running
