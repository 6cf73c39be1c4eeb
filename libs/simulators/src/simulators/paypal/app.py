"""PayPal's REST API over HTTP, its approval page, and the control under `/_sim/`.

Not here: the states (`orders.py`), the events (`webhooks.py`). No subscriptions, no cards, no authorisations.
"""

import base64
import datetime as dt
import html
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from simulators import server
from simulators.faults import Faults, Recorder, Wire, control_routes
from simulators.paypal import requests
from simulators.paypal.certificates import COMMON_NAME, Signer, make_signer
from simulators.paypal.issues import IssueError
from simulators.paypal.orders import Store
from simulators.paypal.resources import Order
from simulators.paypal.webhooks import Webhooks, raw_member
from simulators.server import Background, UrlMap

TOKEN_SECONDS = 32400
"""Nine hours, as PayPal's live tokens."""
REDELIVERY_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""PayPal spreads its 25 tries over three days; a stand-in has less patience, the last pause repeats."""
VERIFY_FIELDS = ("auth_algo", "cert_url", "transmission_id", "transmission_sig", "transmission_time", "webhook_id")

Handler = Callable[[Request], Awaitable[Response]]
T = TypeVar("T")


def utc_now() -> dt.datetime:
    """The present, aware."""
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True)
class PayPalConfig:
    """One REST app of one merchant, with one webhook listener."""

    host: str = "127.0.0.1"
    port: int = 0
    client_id: str = "paypal-client"
    client_secret: str = "paypal-secret"
    merchant_id: str = "SMMERCHANT234"
    webhook_id: str = "5GP028458E2496506"
    webhook_url: str | None = None
    url_map: Mapping[str, str] = field(default_factory=dict)
    token_seconds: int = TOKEN_SECONDS
    redelivery_seconds: tuple[float, ...] = REDELIVERY_SECONDS
    clock: Callable[[], dt.datetime] = utc_now
    signer: Signer | None = None
    """Whose signature webhooks carry; None makes a new authority and leaf."""


class PayPal:
    """All state of one simulated account, and the routes on it."""

    def __init__(self, config: PayPalConfig) -> None:
        if config.webhook_url is not None and not config.webhook_url.startswith("https://"):
            raise ValueError("PayPal delivers to https on port 443 only; name the public address and map it")
        self._config = config
        self.faults = Faults()
        self.recorder = Recorder()
        self.background = Background()
        self.urls = UrlMap(config.url_map)
        self.signer = config.signer or make_signer()
        self.webhooks = Webhooks(
            signer=self.signer,
            webhook_id=config.webhook_id,
            webhook_url=config.webhook_url,
            redelivery_seconds=config.redelivery_seconds,
            urls=self.urls,
            faults=self.faults,
            background=self.background,
        )
        self.store = Store(
            origin=lambda: self.webhooks.origin,
            merchant_id=config.merchant_id,
            clock=config.clock,
            announce=self.webhooks.emit,
        )
        self._tokens: dict[str, float] = {}

    def app(self) -> Wire:
        """The ASGI application, faults and recording around it."""
        notifications = "/v1/notifications"
        routes = [
            Route("/v1/oauth2/token", self._token, methods=["POST"]),
            self._route("POST", "/v2/checkout/orders", self._create),
            self._route("GET", "/v2/checkout/orders/{id}", self._order),
            self._route("POST", "/v2/checkout/orders/{id}/capture", self._capture),
            self._route("GET", "/v2/payments/captures/{id}", self._show_capture),
            self._route("POST", "/v2/payments/captures/{id}/refund", self._refund),
            self._route("GET", "/v2/payments/refunds/{id}", self._show_refund),
            self._route("GET", "/v1/customer/disputes/{id}", self._show_dispute),
            self._route("GET", "/v1/reporting/transactions", self._list_transactions),
            self._route("GET", f"{notifications}/webhooks", self._list_webhooks),
            self._route("POST", f"{notifications}/webhooks", self._create_webhook),
            *(
                self._route(method, f"{notifications}/webhooks/{{id}}", self._webhook)
                for method in ("GET", "PATCH", "DELETE")
            ),
            self._route("POST", f"{notifications}/verify-webhook-signature", self._verify),
            self._route("GET", f"{notifications}/webhooks-events", self._list_events),
            self._route("GET", f"{notifications}/webhooks-events/{{id}}", self._show_event),
            self._route("POST", f"{notifications}/webhooks-events/{{id}}/resend", self._resend),
            Route(f"{notifications}/certs/{{id}}", self._certificate, methods=["GET"]),
            Route("/checkoutnow", self._approval_page, methods=["GET"]),
            Route("/checkoutnow", self._decision, methods=["POST"]),
            Route("/_sim/ca.pem", self._ca, methods=["GET"]),
            Route("/_sim/events", self._delivered, methods=["GET"]),
            Route("/_sim/captures/{id}", self._settle, methods=["POST"]),
            Route("/_sim/captures/{id}/reverse", self._reverse, methods=["POST"]),
            Route("/_sim/captures/{id}/dispute", self._open_dispute, methods=["POST"]),
            Route("/_sim/disputes/{id}", self._resolve_dispute, methods=["POST"]),
            Route("/_sim/refunds/{id}", self._settle_refund, methods=["POST"]),
            Route("/_sim/map", self._map, methods=["PUT"]),
            *control_routes(self.faults, self.recorder),
        ]
        app = Starlette(routes=routes)
        app.router.redirect_slashes = False
        return Wire(app, self.faults, self.recorder)

    def _route(self, method: str, path: str, handler: Handler) -> Route:
        async def guarded(request: Request) -> Response:
            try:
                self._check_token(request)
                requests.check_request_id(request.headers.get("paypal-request-id"))
                return await handler(request)
            except IssueError as refused:
                return refused.response()

        return Route(path, guarded, methods=[method])

    # --- credentials -------------------------------------------------------------------------------------------

    async def _token(self, request: Request) -> Response:
        expected = base64.b64encode(f"{self._config.client_id}:{self._config.client_secret}".encode()).decode()
        if request.headers.get("authorization", "") != f"Basic {expected}":
            return JSONResponse({"error": "invalid_client", "error_description": "Client Authentication failed"}, 401)
        form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
        if form.get("grant_type") != "client_credentials":
            problem = {"error": "unsupported_grant_type", "error_description": "unsupported grant_type"}
            return JSONResponse(problem, 400)
        token = f"A21AA{secrets.token_urlsafe(64)}"
        self._tokens[token] = time.monotonic() + self._config.token_seconds
        return JSONResponse(
            {
                "scope": "https://uri.paypal.com/services/payments/payment openid",
                "access_token": token,
                "token_type": "Bearer",
                "app_id": "APP-80W284485P519543T",
                "expires_in": self._config.token_seconds,
                "nonce": f"{utc_now():%Y-%m-%dT%H:%M:%SZ}{secrets.token_urlsafe(32)}",
            }
        )

    def _check_token(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or self._tokens.get(token, 0.0) <= time.monotonic():
            raise IssueError(401)

    # --- orders and payments -----------------------------------------------------------------------------------

    async def _create(self, request: Request) -> Response:
        wanted = requests.json_object(request.headers.get("content-type", ""), await request.body())
        key = request.headers.get("paypal-request-id")
        requests.check_order(wanted, key)
        _mocked(request)
        order, new = self.store.create(wanted, key)
        return self._order_response(request, order, 201 if new else 200)

    async def _order(self, request: Request) -> Response:
        return JSONResponse(self.store.order_body(self.store.find(request.path_params["id"])))

    async def _capture(self, request: Request) -> Response:
        requests.json_object(request.headers.get("content-type", ""), await request.body(), may_be_empty=True)
        order = self.store.find(request.path_params["id"])
        rule = request.scope["state"]["rule"]
        effect = {} if rule is None else rule.effect
        _mocked(request)
        order, new = self.store.capture(order, request.headers.get("paypal-request-id"), effect)
        return self._order_response(request, order, 201 if new else 200)

    def _order_response(self, request: Request, order: Order, status: int) -> Response:
        return JSONResponse(self.store.order_body(order, full=_wants_all(request)), status)

    async def _show_capture(self, request: Request) -> Response:
        _, capture = _found(self.store.captures, request)
        return JSONResponse(self.store.capture_body(capture, full=True))

    async def _refund(self, request: Request) -> Response:
        content_type = request.headers.get("content-type", "")
        wanted = requests.json_object(content_type, await request.body(), may_be_empty=True)
        _, capture = _found(self.store.captures, request)
        rule = request.scope["state"]["rule"]
        _mocked(request)
        effect = {} if rule is None else rule.effect
        refund = self.store.refund(capture, wanted, request.headers.get("paypal-request-id"), effect)
        # 201 for a repeated key too: PayPal describes no other success here.
        return JSONResponse(self.store.refund_body(refund, capture, full=_wants_all(request)), 201)

    async def _show_refund(self, request: Request) -> Response:
        _, capture, refund = _found(self.store.refunds, request)
        return JSONResponse(self.store.refund_body(refund, capture, full=True))

    async def _show_dispute(self, request: Request) -> Response:
        return JSONResponse(self.store.dispute_body(_found(self.store.disputes, request)))

    async def _list_transactions(self, request: Request) -> Response:
        wanted = request.query_params
        try:
            since, until = (dt.datetime.fromisoformat(wanted[name]) for name in ("start_date", "end_date"))
            page, size = int(wanted.get("page", "1")), int(wanted.get("page_size", "100"))
        except (KeyError, ValueError):
            raise IssueError(400, "INVALID_PARAMETER_SYNTAX", "start_date") from None
        if until - since > dt.timedelta(days=31) or not 1 <= size <= 500:
            raise IssueError(400, "INVALID_PARAMETER_VALUE", "end_date")
        found = self.store.transactions(since, until)
        shown = found[(page - 1) * size : page * size]
        pages = -(-len(found) // size) or 1
        return JSONResponse(
            {"transaction_details": shown, "page": page, "total_items": len(found), "total_pages": pages, "links": []}
        )

    # --- webhooks ----------------------------------------------------------------------------------------------

    async def _list_webhooks(self, _: Request) -> Response:
        return JSONResponse({"webhooks": [listener.body() for listener in self.webhooks.listeners.all()]})

    async def _create_webhook(self, request: Request) -> Response:
        wanted = requests.json_object(request.headers.get("content-type", ""), await request.body())
        return JSONResponse(self.webhooks.listeners.create(wanted).body(), 201)

    async def _webhook(self, request: Request) -> Response:
        listeners = self.webhooks.listeners
        listener = listeners.find(request.path_params["id"])
        if request.method == "DELETE":
            listeners.delete(listener.id)
            return Response(status_code=204)
        if request.method == "PATCH":
            try:
                listeners.patch(listener, await request.json())
            except ValueError:
                raise IssueError(400, "MALFORMED_REQUEST_JSON") from None
        return JSONResponse(listener.body())

    async def _verify(self, request: Request) -> Response:
        raw = (await request.body()).decode("utf-8", "replace")
        question = requests.json_object(request.headers.get("content-type", ""), raw.encode())
        for name in (*VERIFY_FIELDS, "webhook_event"):
            if name not in question:
                raise IssueError(400, "MISSING_REQUIRED_PARAMETER", f"/{name}")
        event = raw_member(raw, "webhook_event")
        assert event is not None
        answer = "SUCCESS" if self.webhooks.verifies(question, event.encode()) else "FAILURE"
        return JSONResponse({"verification_status": answer})

    async def _list_events(self, _: Request) -> Response:
        events = [json.loads(event.body) for event in reversed(self.webhooks.events.values())]
        return JSONResponse({"events": events, "count": len(events), "links": []})

    async def _show_event(self, request: Request) -> Response:
        return Response(_found(self.webhooks.events, request).body, media_type="application/json")

    async def _resend(self, request: Request) -> Response:
        event = _found(self.webhooks.events, request)
        self.webhooks.deliver(event)
        return Response(event.body, 202, media_type="application/json")

    async def _certificate(self, request: Request) -> Response:
        if request.path_params["id"] != self.webhooks.certificate_id:
            return PlainTextResponse("not found", 404)
        return Response(self.signer.certificate_pem, media_type="application/x-pem-file")

    # --- the payer's browser -----------------------------------------------------------------------------------

    async def _approval_page(self, request: Request) -> Response:
        try:
            order = self.store.find(request.query_params.get("token", ""))
        except IssueError:
            return HTMLResponse("<p>We're sorry. Things don't appear to be working at the moment.</p>", 404)
        amount = f"{order.value} {order.currency}"
        label = html.escape(order.unit.get("description", ""))
        return HTMLResponse(
            f"<!doctype html><title>PayPal (simulator)</title><h1>{amount}</h1><p>{label}</p>"
            f'<form method="post"><input type="hidden" name="token" value="{order.id}">'
            '<button name="decision" value="approve">Approve</button> '
            '<button name="decision" value="cancel">Cancel</button></form>'
        )

    async def _decision(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
        token = form.get("token") or request.query_params.get("token", "")
        try:
            order = self.store.find(token)
        except IssueError as refused:
            return refused.response()
        decision = form.get("decision")
        if decision not in ("approve", "cancel"):
            return PlainTextResponse("decision is approve or cancel", 422)
        target = order.experience().get("return_url" if decision == "approve" else "cancel_url")
        if target is None:
            return HTMLResponse("<p>We're sorry. Things don't appear to be working at the moment.</p>", 400)
        parameters = {"token": order.id}
        if decision == "approve":
            parameters["PayerID"] = self.store.approve(order)
        return RedirectResponse(_with_query(target, parameters), 302)

    # --- control -----------------------------------------------------------------------------------------------

    async def _ca(self, _: Request) -> Response:
        return Response(self.signer.ca_pem, media_type="application/x-pem-file")

    async def _delivered(self, _: Request) -> Response:
        """All events with their bodies, and what the receiver answered to each delivery (0: not reached)."""
        found = [
            {"id": event.id, "type": event.type, "event": json.loads(event.body), "deliveries": event.deliveries}
            for event in self.webhooks.events.values()
        ]
        return JSONResponse({"results": found})

    async def _settle(self, request: Request) -> Response:
        status = (await request.json()).get("status")
        found = self.store.captures.get(request.path_params["id"])
        if found is None:
            return JSONResponse({"error": "no such capture"}, 404)
        if status not in ("COMPLETED", "DECLINED") or found[1].status != "PENDING":
            return JSONResponse({"error": "a pending capture becomes COMPLETED or DECLINED"}, 422)
        self.store.settle(found[1], status)
        return JSONResponse(self.store.capture_body(found[1], full=True))

    async def _reverse(self, request: Request) -> Response:
        found = self.store.captures.get(request.path_params["id"])
        if found is None:
            return JSONResponse({"error": "no such capture"}, 404)
        refund = self.store.reverse(found[1])
        return JSONResponse(self.store.refund_body(refund, found[1], full=True))

    async def _open_dispute(self, request: Request) -> Response:
        found = self.store.captures.get(request.path_params["id"])
        if found is None:
            return JSONResponse({"error": "no such capture"}, 404)
        dispute = self.store.dispute(found[1], "MERCHANDISE_OR_SERVICE_NOT_RECEIVED")
        return JSONResponse(self.store.dispute_body(dispute))

    async def _resolve_dispute(self, request: Request) -> Response:
        outcome = (await request.json()).get("outcome")
        dispute = self.store.disputes.get(request.path_params["id"])
        if dispute is None or dispute.outcome is not None:
            return JSONResponse({"error": "no such open dispute"}, 404)
        self.store.resolve(dispute, str(outcome))
        return JSONResponse(self.store.dispute_body(dispute))

    async def _settle_refund(self, request: Request) -> Response:
        status = (await request.json()).get("status")
        found = self.store.refunds.get(request.path_params["id"])
        if found is None:
            return JSONResponse({"error": "no such refund"}, 404)
        _, capture, refund = found
        if status not in ("COMPLETED", "FAILED", "CANCELLED") or refund.status != "PENDING":
            return JSONResponse({"error": "a pending refund becomes COMPLETED, FAILED or CANCELLED"}, 422)
        self.store.settle_refund(capture, refund, status)
        return JSONResponse(self.store.refund_body(refund, capture, full=True))

    async def _map(self, request: Request) -> Response:
        self.urls.update(await request.json())
        return Response(status_code=204)


def _wants_all(request: Request) -> bool:
    return "return=representation" in request.headers.get("prefer", "")


def _found(things: Mapping[str, T], request: Request) -> T:
    thing = things.get(request.path_params["id"])
    if thing is None:
        raise IssueError(404, "INVALID_RESOURCE_ID")
    return thing


def _mocked(request: Request) -> None:
    """Obey `PayPal-Mock-Response`, PayPal's own switch for negative tests in its sandbox."""
    header = request.headers.get("paypal-mock-response")
    if header is None:
        return
    try:
        code = json.loads(header)["mock_application_codes"]
    except (ValueError, KeyError, TypeError):
        raise IssueError(400, "INVALID_PARAMETER_SYNTAX", "PayPal-Mock-Response") from None
    raise IssueError(422, code[0] if isinstance(code, list) else str(code))


def _with_query(url: str, parameters: dict[str, str]) -> str:
    parts = urlsplit(url)
    query = "&".join(text for text in (parts.query, urlencode(parameters)) if text)
    return urlunsplit(parts._replace(query=query))


@dataclass
class RunningPayPal:
    """A running account: `url` without trailing slash, and what a receiver of its webhooks must trust."""

    config: PayPalConfig
    http: server.Running
    paypal: PayPal

    @property
    def url(self) -> str:
        return self.http.url

    @property
    def port(self) -> int:
        return self.http.port

    @property
    def ca_pem(self) -> str:
        return self.paypal.signer.ca_pem.decode()

    @property
    def common_name(self) -> str:
        return COMMON_NAME

    async def stop(self) -> None:
        """Stop delivering and close the port."""
        await self.http.stop()


async def start(config: PayPalConfig) -> RunningPayPal:
    """Listen and answer as PayPal does.

    Raises:
        OSError: the port is taken.
        ValueError: a webhook address that PayPal would not take.
    """
    paypal = PayPal(config)
    http = await server.serve(paypal.app(), config.host, config.port)
    paypal.webhooks.origin = http.url
    http.on_stop(paypal.background.stop)
    return RunningPayPal(config, http, paypal)
