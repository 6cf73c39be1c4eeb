"""Exchanges with the payment providers, recorded while our adapters talk to the simulators, and checks on them.

The schemas in `paypal/` and `mtn_momo/` are ours: what we promise to send and what we rely on getting, one file per
operation. `test_provider_contracts.py` holds every exchange against them; `test_provider_specs.py` holds the same
exchanges against the providers' own specifications, where SPECS_DIR says where they are.
"""

import asyncio
import json
import os
import re
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from billing.adapters import mtn_momo as our_momo
from billing.adapters import paypal as our_paypal
from billing.adapters.mtn_disbursement import MtnDisbursement
from billing.adapters.mtn_wire import MtnAccount
from billing.adapters.paypal_listeners import Listeners
from billing.adapters.paypal_webhooks import OnlineVerifier
from billing.domain.money import Money
from billing.ports import AttemptView, ProviderError, ProviderStatus, RefundView, SignatureRejected
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from simulators import mtn_momo, paypal, server
from starlette.requests import Request
from starlette.responses import Response

HERE = Path(__file__).parent
ADDRESS = "https://contracts.invalid"
"""Base of the references between schema files; nobody fetches it."""
PUBLIC = "https://backup.example"
XAF = {"currency_code": "XAF", "value": "25000"}

collect_ignore = [] if os.environ.get("SPECS_DIR") else ["test_provider_specs.py"]
"""Without the providers' specifications the second file is not a test at all, rather than a skipped one."""


# --- the exchanges and what is said of them ---------------------------------------------------------------------


@dataclass(frozen=True)
class Exchange:
    """One request and its answer; header names in lower case."""

    method: str
    path: str
    request_headers: dict[str, str]
    request_body: bytes
    status: int
    answer_headers: dict[str, str]
    answer_body: bytes
    query: dict[str, str] = field(default_factory=dict)
    by_hand: bool = False
    """Made wrong on purpose, to see the refusal: only the answer has to keep the contract."""

    def __str__(self) -> str:
        return f"{self.method} {self.path} → {self.status}"


class Contract:
    """The schemas of one provider."""

    def __init__(self, provider: str) -> None:
        files = {path.name: json.loads(path.read_text()) for path in sorted((HERE / provider).glob("*.json"))}
        self._registry: Registry[Any] = Registry().with_resources(
            (f"{ADDRESS}/{name}", Resource.from_contents(schema)) for name, schema in files.items()
        )
        self.operations = {name.removesuffix(".json"): schema for name, schema in files.items() if "method" in schema}

    def operation(self, exchange: Exchange) -> str:
        """The operation that the exchange is; each is exactly one."""
        (name,) = [
            name
            for name, schema in self.operations.items()
            if re.fullmatch(schema["method"], exchange.method) and re.search(schema["path"], exchange.path)
        ]
        return name

    def faults(self, exchange: Exchange) -> list[str]:
        """What is wrong with the exchange; nothing, if it keeps the contract."""
        name = self.operation(exchange)
        defined = self.operations[name]["$defs"]
        answer = f"answer_{exchange.status}"
        if answer not in defined:
            return [f"{exchange}: no schema for this status"]
        parts = {answer: _content(exchange.answer_body)}
        if exchange.by_hand:
            return [f"{exchange} {fault}" for fault in self._part_faults(name, answer, parts[answer])]
        parts["request_headers"] = exchange.request_headers
        if "request_query" in defined:
            parts["request_query"] = exchange.query
        elif exchange.query:
            return [f"{exchange}: a query where none is expected"]
        if "request_body" in defined:
            parts["request_body"] = _content(exchange.request_body)
        elif exchange.request_body:
            return [f"{exchange}: a body where none is expected"]
        return [f"{exchange} {fault}" for part, data in parts.items() for fault in self._part_faults(name, part, data)]

    def _part_faults(self, name: str, part: str, data: Any) -> Iterable[str]:
        schema = {"$ref": f"{ADDRESS}/{name}.json#/$defs/{part}"}
        for error in Draft202012Validator(schema, registry=self._registry).iter_errors(data):
            yield f"{part}{error.json_path[1:]}: {error.message[:300]}"


def _content(body: bytes) -> Any:
    """JSON as data, a form as text, nothing as null."""
    if not body:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return body.decode()


# --- recording ----------------------------------------------------------------------------------------------------


class Recording:
    """All exchanges of one walk: what we sent out, and what was delivered to us."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.arrived = asyncio.Condition()

    async def outbound(self, answer: httpx.Response) -> None:
        await answer.aread()
        request = answer.request
        if request.url.path.startswith(("/_sim/", "/checkoutnow")):
            return
        self.exchanges.append(
            Exchange(
                request.method,
                request.url.path,
                dict(request.headers),
                request.content,
                answer.status_code,
                dict(answer.headers),
                answer.content,
                query=dict(request.url.params),
                by_hand="x-by-hand" in request.headers,
            )
        )

    async def inbound(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        body = await request.body()
        async with self.arrived:
            self.exchanges.append(Exchange(request.method, request.url.path, dict(request.headers), body, 200, {}, b""))
            self.arrived.notify_all()
        await Response()(scope, receive, send)

    async def until(self, ready: Callable[[Exchange], bool]) -> Exchange:
        async with self.arrived:
            async with asyncio.timeout(10):
                await self.arrived.wait_for(lambda: any(map(ready, self.exchanges)))
        return next(filter(ready, self.exchanges))


@asynccontextmanager
async def recording() -> AsyncIterator[tuple[Recording, httpx.AsyncClient, str]]:
    """A recording, a client whose exchanges go into it, and the address where deliveries do."""
    kept = Recording()
    ours = await server.serve(kept.inbound, "127.0.0.1", 0)
    try:
        async with httpx.AsyncClient(trust_env=False, event_hooks={"response": [kept.outbound]}) as http:
            yield kept, http, ours.url
    finally:
        await ours.stop()


def attempt(amount: Money, **facts: Any) -> AttemptView:
    payment_id = uuid.uuid4()
    usual: dict[str, Any] = {
        "payment_id": payment_id,
        "reference": f"ORD-2026-{payment_id.hex[:6]}-1",
        "amount": amount,
        "created_at": datetime.now(UTC),
        "provider_reference": None,
        "create_request_id": f"create-{payment_id}-1",
        "capture_request_id": f"capture-{payment_id}-1",
        "description": "Plan « Argent », mensuel – période d'août",
    }
    return AttemptView(**(usual | facts))


# --- the walks ------------------------------------------------------------------------------------------------------


class PayPalWalk:
    """Everything that we do with PayPal, once, and each refusal that we rely on."""

    def __init__(self, running: paypal.RunningPayPal, http: httpx.AsyncClient, kept: Recording) -> None:
        self.running = running
        self.http = http
        self.kept = kept
        self.ours = self.adapter("paypal-secret")

    def adapter(self, secret: str) -> our_paypal.PayPal:
        config = our_paypal.PayPalConfig(self.running.url, "paypal-client", secret)
        return our_paypal.PayPal(config, self.http, lambda: datetime.now(UTC))

    async def rule(self, **rule: Any) -> None:
        await self.http.put(f"{self.running.url}/_sim/faults", json={"rules": [{"times": 1} | rule]})

    async def bought(self, *, approve: bool = True, amount: Money | None = None) -> AttemptView:
        back = {"return_url": "https://shop.example/back?a=1", "cancel_url": "http://127.0.0.1:3000/cancel"}
        wanted = attempt(amount or Money(3811, "EUR"), **back)
        wanted = replace(wanted, provider_reference=(await self.ours.start(wanted)).provider_reference)
        if approve:
            form = {"token": wanted.provider_reference, "decision": "approve"}
            await self.http.post(f"{self.running.url}/checkoutnow", data=form)
        return wanted

    async def purchase_and_refund(self) -> None:
        waiting = await self.bought(approve=False)
        await self.ours.observe(waiting)
        await self.ours.start(replace(waiting, provider_reference=None))  # the same key again: 200
        paid_for = await self.bought()
        paid = await self.ours.observe(paid_for)
        assert paid.status is ProviderStatus.COMPLETED
        await self.ours.observe(paid_for)
        refund = RefundView(
            refund_id=uuid.uuid4(),
            request_id=f"refund-{uuid.uuid4()}-1",
            capture_reference=paid.receipt_reference or "",
            amount=Money(811, "EUR"),
            note="Geste commercial",
        )
        await self.ours.refund(paid_for, refund)
        await self.ours.refund(paid_for, refund)
        excess = replace(refund, request_id=f"refund-{uuid.uuid4()}-1", amount=Money(9999, "EUR"))
        await refused(self.ours.refund(paid_for, excess))
        await refused(self.ours.refund(paid_for, replace(refund, capture_reference="NONE")))

    async def refusals(self) -> None:
        await refused(self.adapter("wrong").start(attempt(Money(3811, "EUR"))))
        await self.by_hand({"intent": "SALE"})
        await self.by_hand({"intent": "CAPTURE", "purchase_units": [{"amount": XAF}]})
        await self.ours.observe(attempt(Money(1, "EUR"), provider_reference="MISSING"))
        pending = await self.bought()
        await self.rule(match={"path": "*/capture"}, effect={"capture": "PENDING", "reason": "ECHECK"})
        assert (await self.ours.observe(pending)).status is ProviderStatus.PROCESSING
        declined = await self.bought()
        await self.rule(match={"path": "*/capture"}, effect={"issue": "INSTRUMENT_DECLINED"})
        assert (await self.ours.observe(declined)).renew_capture_key
        repeated = await self.bought()
        await self.rule(match={"path": "*/capture"}, drop="after")
        await refused(self.ours.observe(repeated))
        await self.ours.observe(repeated)

    async def by_hand(self, order: dict[str, Any]) -> None:
        """An order that our adapter would never send."""
        headers = {"Authorization": self.bearer(), "X-By-Hand": "yes"}
        await self.http.post(f"{self.running.url}/v2/checkout/orders", json=order, headers=headers)

    async def replayed_capture(self) -> None:
        """A second instance still sees the order APPROVED and captures with the same key: 200."""
        order = await self.bought()
        before = await self.http.get(
            f"{self.running.url}/v2/checkout/orders/{order.provider_reference}",
            headers={"Authorization": self.bearer()},
        )
        await self.ours.observe(order)
        for key in (order.capture_request_id, f"capture-{uuid.uuid4()}-2"):
            await self.rule(match={"method": "GET"}, status=200, body=before.json())
            again = await self.ours.observe(replace(order, capture_request_id=key))
            assert again.status is ProviderStatus.COMPLETED

    async def disputed(self) -> None:
        paid = await self.ours.observe(await self.bought())
        capture = f"{self.running.url}/_sim/captures/{paid.receipt_reference}/dispute"
        opened = (await self.http.post(capture)).json()["dispute_id"]
        asked = await self.ours.observe_dispute(opened)
        assert asked is not None
        assert asked.captures == (paid.receipt_reference,)
        body = {"outcome": "RESOLVED_SELLER_FAVOUR"}
        await self.http.post(f"{self.running.url}/_sim/disputes/{opened}", json=body)
        assert (await self.ours.observe_dispute(opened) or asked).status is ProviderStatus.COMPLETED
        assert await self.ours.observe_dispute("PP-D-NONE") is None
        today = datetime.now(UTC)
        assert await self.ours.movements(today - timedelta(hours=1), today + timedelta(hours=1))

    async def listeners(self) -> None:
        listeners, url = Listeners(self.ours), f"{PUBLIC}/another/"
        made, _ = await listeners.ensure(url)
        self.running.paypal.webhooks.listeners.find(made.id).events = ["PAYMENT.CAPTURE.PENDING"]
        assert (await listeners.ensure(url))[1] == "updated"
        assert await listeners.delete(made.id)

    def bearer(self) -> str:
        return next(
            one.request_headers["authorization"]
            for one in reversed(self.kept.exchanges)
            if one.request_headers.get("authorization", "").startswith("Bearer")
        )

    async def webhooks(self) -> None:
        delivered = await self.kept.until(lambda one: one.path == "/webhooks/paypal/")
        verifier = OnlineVerifier(self.ours, self.running.config.webhook_id)
        await verifier.verify(delivered.request_headers, delivered.request_body)
        with pytest.raises(SignatureRejected):
            await verifier.verify(delivered.request_headers, b'{"id": "WH-forged"}')


async def refused(call: Any) -> None:
    with pytest.raises(ProviderError):
        await call


async def walk_paypal() -> list[Exchange]:
    async with recording() as (kept, http, ours):
        config = paypal.PayPalConfig(webhook_url=f"{PUBLIC}/webhooks/paypal/", url_map={PUBLIC: ours})
        running = await paypal.start(config)
        walk = PayPalWalk(running, http, kept)
        try:
            await walk.purchase_and_refund()
            await walk.refusals()
            await walk.replayed_capture()
            await walk.disputed()
            await walk.listeners()
            await walk.webhooks()
        finally:
            await running.stop()
    return kept.exchanges


class MoMoWalk:
    """Everything that we do with MoMo: each kind of number, both shapes of a reason, each refusal."""

    def __init__(self, running: server.Running, config: mtn_momo.MoMoConfig, http: httpx.AsyncClient) -> None:
        self.running = running
        self.config = config
        self.http = http
        self.ours = self.adapter()

    def adapter(self, **changes: str) -> our_momo.MtnMoMo:
        facts: dict[str, Any] = {
            "base_url": self.running.url,
            "subscription_key": self.config.subscription_key,
            "api_user": self.config.api_user,
            "api_key": self.config.api_key,
            "target_environment": self.config.environment,
            "currency": self.config.currency,
            "callback_base": f"{PUBLIC}/webhooks/mtn-momo",
        }
        return our_momo.MtnMoMo(our_momo.MoMoConfig(**(facts | changes)), self.http, lambda: datetime.now(UTC))

    def wanted(self, number: str) -> AttemptView:
        amount = Money(25000, "XAF") if self.config.currency == "XAF" else Money(3900, "EUR")
        reference, token = str(uuid.uuid4()), uuid.uuid4().hex
        return attempt(amount, provider_reference=reference, phone_number=number, callback_token=token)

    async def accepted(self, number: str) -> None:
        one = self.wanted(number)
        await self.ours.start(one)
        await self.ours.observe(one)
        await self.ours.start(one)  # the same reference again: 409
        while (await self.ours.observe(one)).status is ProviderStatus.PENDING:
            await asyncio.sleep(0.02)

    async def refunded(self) -> None:
        account = MtnAccount(
            base_url=self.running.url,
            subscription_key=self.config.disbursement_key,
            api_user=self.config.disbursement_user,
            api_key=self.config.disbursement_api_key,
            target_environment=self.config.environment,
            currency=self.config.currency,
        )
        back = MtnDisbursement(account, self.http, lambda: datetime.now(UTC))
        paid = self.wanted("670000001")
        await self.ours.start(paid)
        while (await self.ours.observe(paid)).status is ProviderStatus.PENDING:
            await asyncio.sleep(0.02)
        whole = RefundView(
            refund_id=uuid.uuid4(),
            request_id="",
            capture_reference=paid.provider_reference or "",
            amount=paid.amount,
            provider_reference=str(uuid.uuid4()),
        )
        assert (await back.observe_refund(paid, whole)).not_received
        for refund in (whole, replace(whole, provider_reference=str(uuid.uuid4()))):
            await back.refund(paid, refund)
            await back.refund(paid, refund)  # the same reference again: 409
            while (state := await back.observe_refund(paid, refund)).status is ProviderStatus.PENDING:
                await asyncio.sleep(0.02)
            assert state.refund_id == whole.refund_id
        assert state.status is ProviderStatus.FAILED

    async def refusals(self) -> None:
        for number in ("46733123457", "46733123461", "46733123462"):
            one = self.wanted(number)
            await refused(self.ours.start(one))
            assert (await self.ours.observe(one)).not_received
        await refused(self.adapter(api_key="wrong").start(self.wanted("670000001")))
        await refused(self.adapter(subscription_key="wrong").start(self.wanted("670000001")))


async def walk_momo(environment: str, *, reason_as_object: bool) -> list[Exchange]:
    async with recording() as (kept, http, address):
        config = mtn_momo.MoMoConfig(
            environment=environment,
            approval_delay=0.05,
            reason_as_object=reason_as_object,
            url_map={PUBLIC: address},
            callback_method="POST" if reason_as_object else "PUT",
        )
        running = await mtn_momo.start(config)
        walk = MoMoWalk(running, config, http)
        try:
            for number in ("670000001", "46733123451", "46733123455"):
                await walk.accepted(number)
            await walk.refunded()
            await walk.refusals()
            for number in ("46733123450", "46733123451", "46733123452", "46733123455", "670000001"):
                await walk.ours.is_active(number)
            await kept.until(lambda one: one.path.startswith("/webhooks/mtn-momo/"))
        finally:
            await running.stop()
    return kept.exchanges


@pytest.fixture(scope="session")
def paypal_exchanges() -> list[Exchange]:
    return asyncio.run(walk_paypal())


@pytest.fixture(scope="session")
def momo_exchanges() -> list[Exchange]:
    sandbox = asyncio.run(walk_momo("sandbox", reason_as_object=False))
    return sandbox + asyncio.run(walk_momo("mtncameroon", reason_as_object=True))


@pytest.fixture(scope="session")
def paypal_contract() -> Contract:
    return Contract("paypal")


@pytest.fixture(scope="session")
def momo_contract() -> Contract:
    return Contract("mtn_momo")
