"""Collection, Disbursement (refunds) and sandbox provisioning of MTN MoMo over HTTP, with their quirks, and `/_sim/`.

Not here: who may call (`products`), what becomes of a request (`payments`, `refunds`); and of MTN: transfers and
deposits, consent (bc-authorize), invoices and preapprovals.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators import server
from simulators.faults import Faults, Recorder, Wire, control_routes
from simulators.mtn_momo.checks import BAD_REQUEST, body_fault, callback_fault, is_uuid4, refund_fault
from simulators.mtn_momo.outcomes import HOLDERS, PAYERS, PAYS, Refusal, refusal
from simulators.mtn_momo.payments import AlreadyFinalError, Ledger, RequestToPay
from simulators.mtn_momo.products import ApiUser, Product, refused
from simulators.mtn_momo.refunds import Refund, Refunds
from simulators.server import Background, UrlMap

CURRENCIES = {"sandbox": "EUR", "mtncameroon": "XAF"}
TOKEN_SECONDS = 3600


@dataclass(frozen=True)
class MoMoConfig:
    """One environment of the provider and one API user in it; delays are seconds."""

    host: str = "127.0.0.1"
    port: int = 0
    environment: str = "mtncameroon"
    subscription_key: str = "momo-collection-key"
    api_user: str = "8a3f3c52-6d1c-4c67-9f0a-2f6b1f2f9d11"
    api_key: str = "momo-api-key"
    disbursement_key: str = "momo-disbursement-key"
    disbursement_user: str = "5b1d9c34-7a0e-4f0b-8d57-3c9e2a6f4b20"
    disbursement_api_key: str = "momo-disbursement-api-key"
    disbursement_balance: int = 10_000_000
    """What the account that refunds are paid from holds; collections do not fill it."""
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
        self._collection = self._product(config.subscription_key, config.api_user, config.api_key)
        self._disbursement = self._product(
            config.disbursement_key, config.disbursement_user, config.disbursement_api_key
        )
        self.ledger = Ledger(
            faults=self.faults,
            urls=self.urls,
            background=self.background,
            approval_delay=config.approval_delay,
            ongoing_delay=config.ongoing_delay,
            callback_method=config.callback_method,
            reason_as_object=config.reason_as_object,
        )
        self.refunds = Refunds(
            self.ledger,
            background=self.background,
            delay=config.approval_delay,
            balance=config.disbursement_balance,
        )

    def _product(self, subscription_key: str, user: str, api_key: str) -> Product:
        return Product(
            subscription_key=subscription_key,
            environment=self._config.environment,
            token_seconds=self._config.token_seconds,
            users={user: ApiUser(self._config.callback_host, api_key)},
        )

    def app(self) -> Wire:
        """The ASGI application, faults and recording around it."""
        collection = "/collection/v1_0"
        guarded, refunding = self._collection.guarded, self._disbursement.guarded
        routes = [
            Route("/collection/token/", self._collection.token, methods=["POST"]),
            Route(f"{collection}/requesttopay", guarded(self._request_to_pay), methods=["POST"]),
            Route(f"{collection}/requesttopay/{{reference}}", guarded(self._status), methods=["GET"]),
            Route(f"{collection}/account/balance", guarded(self._balance), methods=["GET"]),
            Route(f"{collection}/accountholder/{{kind}}/{{holder}}/active", guarded(self._active), methods=["GET"]),
            Route("/disbursement/token/", self._disbursement.token, methods=["POST"]),
            Route("/disbursement/v1_0/refund", refunding(self._refund), methods=["POST"]),
            Route("/disbursement/v2_0/refund", refunding(self._refund), methods=["POST"]),
            Route("/disbursement/v1_0/refund/{reference}", refunding(self._refund_status), methods=["GET"]),
            Route("/disbursement/v1_0/account/balance", refunding(self._float), methods=["GET"]),
            Route("/_sim/decide", self._decide, methods=["POST"]),
            Route("/_sim/disbursement", self._disbursements, methods=["GET", "PUT"]),
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

    # --- Collections -------------------------------------------------------------------------------------------

    async def _request_to_pay(self, request: Request) -> Response:
        reference = request.headers.get("x-reference-id")
        callback_url = request.headers.get("x-callback-url")
        if reference is None or not is_uuid4(reference):
            return refused(BAD_REQUEST)
        try:
            body: Any = await request.json()
        except ValueError:
            return refused(BAD_REQUEST)
        fault = body_fault(body, self._config.currency) or callback_fault(
            callback_url, request.state.user.callback_host
        )
        if fault is not None:
            return refused(fault)
        if self.ledger.find(reference) is not None:
            return refused(refusal(409, "RESOURCE_ALREADY_EXIST"))
        course = PAYERS.get(body["payer"]["partyId"], PAYS)
        if isinstance(course, Refusal):
            return refused(course)
        self.ledger.accept(RequestToPay(reference, body, callback_url), course)
        return Response(status_code=202)

    async def _status(self, request: Request) -> Response:
        reference = request.path_params["reference"]
        if not is_uuid4(reference):
            return refused(BAD_REQUEST)
        found = self.ledger.find(reference)
        if found is None:
            return refused(refusal(404, "RESOURCE_NOT_FOUND"))
        return JSONResponse(found.result(reason_as_object=self.ledger.reason_as_object))

    async def _balance(self, _: Request) -> Response:
        if not self._config.balance_allowed:
            return refused(refusal(500, "NOT_ALLOWED"))
        return JSONResponse({"availableBalance": str(self.ledger.balance), "currency": self._config.currency})

    async def _active(self, request: Request) -> Response:
        if request.path_params["kind"] != "msisdn":
            return refused(BAD_REQUEST)
        answer = HOLDERS.get(request.path_params["holder"], True)
        return refused(answer) if isinstance(answer, Refusal) else JSONResponse({"result": answer})

    # --- Disbursement ------------------------------------------------------------------------------------------

    async def _refund(self, request: Request) -> Response:
        reference = request.headers.get("x-reference-id")
        if reference is None or not is_uuid4(reference):
            return refused(BAD_REQUEST)
        try:
            body: Any = await request.json()
        except ValueError:
            return refused(BAD_REQUEST)
        fault = refund_fault(body, self._config.currency) or callback_fault(
            request.headers.get("x-callback-url"), request.state.user.callback_host
        )
        if fault is not None:
            return refused(fault)
        if self.refunds.find(reference) is not None:
            return refused(refusal(409, "RESOURCE_ALREADY_EXIST"))
        self.refunds.accept(reference, body)
        return Response(status_code=202)

    async def _refund_status(self, request: Request) -> Response:
        reference = request.path_params["reference"]
        if not is_uuid4(reference):
            return refused(BAD_REQUEST)
        found = self.refunds.find(reference)
        if found is None:
            return refused(refusal(404, "RESOURCE_NOT_FOUND"))
        return JSONResponse(found.result(reason_as_object=self.ledger.reason_as_object))

    async def _float(self, _: Request) -> Response:
        return JSONResponse({"availableBalance": str(self.refunds.balance), "currency": self._config.currency})

    # --- sandbox provisioning ----------------------------------------------------------------------------------

    async def _create_user(self, request: Request) -> Response:
        if (fault := self._collection.key_fault(request)) is not None:
            return fault
        user = request.headers.get("x-reference-id", "")
        try:
            host = (await request.json())["providerCallbackHost"]
        except (ValueError, KeyError, TypeError):
            return refused(BAD_REQUEST)
        if not is_uuid4(user) or not isinstance(host, str) or not host or "/" in host:
            return refused(BAD_REQUEST)
        if user in self._collection.users:
            return refused(refusal(409, "RESOURCE_ALREADY_EXIST"))
        self._collection.users[user] = ApiUser(host)
        return Response(status_code=201)

    async def _create_key(self, request: Request) -> Response:
        if (fault := self._collection.key_fault(request)) is not None:
            return fault
        user = self._collection.users.get(request.path_params["user"])
        if user is None:
            return refused(refusal(404, "RESOURCE_NOT_FOUND"))
        user.key = uuid.uuid4().hex
        return JSONResponse({"apiKey": user.key}, 201)

    async def _show_user(self, request: Request) -> Response:
        if (fault := self._collection.key_fault(request)) is not None:
            return fault
        user = self._collection.users.get(request.path_params["user"])
        if user is None:
            return refused(refusal(404, "RESOURCE_NOT_FOUND"))
        return JSONResponse({"providerCallbackHost": user.callback_host, "targetEnvironment": self._config.environment})

    # --- control -----------------------------------------------------------------------------------------------

    async def _decide(self, request: Request) -> Response:
        wanted = await request.json()
        reference = str(wanted.get("reference"))
        found = self.ledger.find(reference) or self.refunds.find(reference)
        if found is None:
            return JSONResponse({"error": "no such reference"}, 404)
        if wanted.get("status") not in ("SUCCESSFUL", "FAILED"):
            return JSONResponse({"error": "status is SUCCESSFUL or FAILED"}, 422)
        try:
            if isinstance(found, Refund):
                self.refunds.decide(found, wanted["status"], wanted.get("reason"))
            else:
                self.ledger.decide(found, wanted["status"], wanted.get("reason"))
        except AlreadyFinalError:
            return JSONResponse({"error": f"already {found.status}"}, 409)
        return JSONResponse(found.result(reason_as_object=self.ledger.reason_as_object))

    async def _disbursements(self, request: Request) -> Response:
        """What refunds there are and what is left to pay them from; PUT says how much that is."""
        if request.method == "PUT":
            self.refunds.balance = int((await request.json())["balance"])
        return JSONResponse({"balance": self.refunds.balance, "refunds": self.refunds.listed()})

    async def _map(self, request: Request) -> Response:
        self.urls.update(await request.json())
        return Response(status_code=204)


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
