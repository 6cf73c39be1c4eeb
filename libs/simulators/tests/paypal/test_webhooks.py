"""Signed webhooks of the PayPal simulator: what is signed, how often it is sent, and PayPal's own verification."""

import asyncio
import base64
import json
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from simulators import server
from simulators.paypal import PayPalConfig, RunningPayPal, start
from simulators.paypal.certificates import Signer, make_signer
from simulators.paypal.webhooks import raw_member
from starlette.requests import Request
from starlette.responses import Response

BACK = "https://shop.example/back"


@pytest.fixture(scope="module")
def signer() -> Signer:
    return make_signer()


class Listener:
    """Our webhook address: keeps what came and answers from a list, 200 when that is empty."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self._arrived = asyncio.Condition()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        body = await request.body()
        async with self._arrived:
            self.seen.append((request.url.path, dict(request.headers), body))
            self._arrived.notify_all()
            status = self.answers.pop(0) if self.answers else 200
        await Response(status_code=status)(scope, receive, send)

    async def until(self, ready: Callable[[], bool]) -> None:
        async with self._arrived:
            async with asyncio.timeout(5):
                await self._arrived.wait_for(ready)

    def types(self) -> list[str]:
        return [json.loads(body)["event_type"] for _, _, body in self.seen]


class World:
    def __init__(self, running: RunningPayPal, listener: Listener, http: httpx.AsyncClient) -> None:
        self.running = running
        self.listener = listener
        self.http = http

    async def approved(self) -> str:
        body = {
            "intent": "CAPTURE",
            "purchase_units": [{"amount": {"currency_code": "EUR", "value": "38.11"}}],
            "application_context": {"return_url": BACK, "cancel_url": BACK},
        }
        order_id: str = (await self.http.post("/v2/checkout/orders", json=body)).json()["id"]
        await self.http.post("/checkoutnow", data={"token": order_id, "decision": "approve"})
        return order_id

    async def capture(self, order_id: str) -> None:
        answer = await self.http.post(f"/v2/checkout/orders/{order_id}/capture", json={})
        assert answer.status_code == 201

    async def faults(self, *rules: dict[str, Any]) -> None:
        assert (await self.http.put("/_sim/faults", json={"rules": list(rules)})).status_code == 200


@pytest.fixture
async def world(signer: Signer) -> AsyncIterator[World]:
    listener = Listener()
    ours = await server.serve(listener, "127.0.0.1", 0)
    running = await start(
        PayPalConfig(
            signer=signer,
            webhook_url="https://backup.example/webhooks/paypal/",
            url_map={"https://backup.example": ours.url},
            redelivery_seconds=(0.01,),
        )
    )
    async with httpx.AsyncClient(base_url=running.url, trust_env=False) as http:
        token = await http.post(
            "/v1/oauth2/token", auth=("paypal-client", "paypal-secret"), data={"grant_type": "client_credentials"}
        )
        http.headers["Authorization"] = f"Bearer {token.json()['access_token']}"
        yield World(running, listener, http)
    await running.stop()
    await ours.stop()


async def test_each_step_of_a_purchase_is_told_and_signed(world: World) -> None:
    await world.capture(await world.approved())
    await world.listener.until(lambda: len(world.listener.seen) == 2)
    assert sorted(world.listener.types()) == ["CHECKOUT.ORDER.APPROVED", "PAYMENT.CAPTURE.COMPLETED"]
    path, headers, body = world.listener.seen[0]
    assert path == "/webhooks/paypal/"
    certificate = x509.load_pem_x509_certificate((await world.http.get(headers["paypal-cert-url"])).content)
    public_key = certificate.public_key()
    assert isinstance(public_key, rsa.RSAPublicKey)
    text = "|".join(
        [
            headers["paypal-transmission-id"],
            headers["paypal-transmission-time"],
            world.running.config.webhook_id,
            str(zlib.crc32(body)),
        ]
    )
    signature = base64.b64decode(headers["paypal-transmission-sig"])
    public_key.verify(signature, text.encode(), padding.PKCS1v15(), hashes.SHA256())
    assert headers["paypal-auth-algo"] == "SHA256withRSA"


async def test_an_event_is_sent_again_until_it_is_taken(world: World) -> None:
    world.listener.answers = [500, 302, 404]
    await world.approved()
    await world.listener.until(lambda: len(world.listener.seen) == 4)
    assert len({body for _, _, body in world.listener.seen}) == 1
    event = next(iter(world.running.paypal.webhooks.events.values()))
    await asyncio.sleep(0.05)
    assert event.deliveries == [500, 302, 404, 200]


async def test_events_are_repeated_lost_and_reordered_by_rule(world: World) -> None:
    await world.faults(
        {"target": "delivery", "match": {"event": "CHECKOUT.ORDER.APPROVED"}, "reorder": True, "times": 1},
        {"target": "delivery", "match": {"event": "PAYMENT.CAPTURE.COMPLETED"}, "duplicate": 1, "times": 1},
    )
    await world.capture(await world.approved())
    await world.listener.until(lambda: len(world.listener.seen) == 3)
    assert world.listener.types() == ["PAYMENT.CAPTURE.COMPLETED"] * 2 + ["CHECKOUT.ORDER.APPROVED"]

    await world.faults({"target": "delivery", "match": {"event": "CHECKOUT.*"}, "drop": "before"})
    await world.capture(await world.approved())
    await world.listener.until(lambda: len(world.listener.seen) == 4)
    assert world.listener.types()[3:] == ["PAYMENT.CAPTURE.COMPLETED"]


async def test_a_test_can_ask_how_often_an_event_was_delivered_and_what_we_answered(world: World) -> None:
    world.listener.answers = [503, 200]
    await world.faults({"target": "delivery", "match": {"event": "PAYMENT.*"}, "drop": "before"})
    order_id = await world.approved()
    await world.listener.until(lambda: len(world.listener.seen) == 2)
    await world.capture(order_id)
    approved, captured = (await world.http.get("/_sim/events")).json()["results"]
    assert (approved["type"], approved["deliveries"][0]) == ("CHECKOUT.ORDER.APPROVED", 503)
    assert approved["event"]["resource"]["id"] == order_id
    assert (captured["type"], captured["deliveries"]) == ("PAYMENT.CAPTURE.COMPLETED", [])


async def test_a_missed_event_is_listed_and_sent_again_on_demand(world: World) -> None:
    await world.faults({"target": "delivery", "drop": "before", "times": 1})
    await world.approved()
    listed = (await world.http.get("/v1/notifications/webhooks-events")).json()["events"]
    answer = await world.http.post(f"/v1/notifications/webhooks-events/{listed[0]['id']}/resend", json={})
    await world.listener.until(lambda: len(world.listener.seen) == 1)
    assert answer.status_code == 202
    assert json.loads(world.listener.seen[0][2])["id"] == listed[0]["id"]


async def verified(world: World, headers: dict[str, str], raw: bytes, **changes: str) -> str:
    question = {
        "auth_algo": headers["paypal-auth-algo"],
        "cert_url": headers["paypal-cert-url"],
        "transmission_id": headers["paypal-transmission-id"],
        "transmission_sig": headers["paypal-transmission-sig"],
        "transmission_time": headers["paypal-transmission-time"],
        "webhook_id": world.running.config.webhook_id,
    } | changes
    content = json.dumps(question)[:-1].encode() + b', "webhook_event": ' + raw + b"}"
    answer = await world.http.post(
        "/v1/notifications/verify-webhook-signature", content=content, headers={"Content-Type": "application/json"}
    )
    return str(answer.json()["verification_status"])


async def test_paypal_confirms_its_own_event_byte_for_byte_only(world: World) -> None:
    await world.approved()
    await world.listener.until(lambda: bool(world.listener.seen))
    _, headers, raw = world.listener.seen[0]
    assert await verified(world, headers, raw) == "SUCCESS"
    assert await verified(world, headers, json.dumps(json.loads(raw)).encode()) == "FAILURE"
    assert await verified(world, headers, raw, webhook_id=json.loads(raw)["id"]) == "FAILURE"
    assert await verified(world, headers, raw, transmission_time="2026-01-01T00:00:00Z") == "FAILURE"
    assert await verified(world, headers, raw, cert_url="https://evilpaypal.com/v1/notifications/certs/x") == "FAILURE"


def test_a_member_is_cut_out_as_it_was_written() -> None:
    text = '{"a": {"webhook_event": 1}, "webhook_event" :  {"x":1.0,  "y":"\\/"} , "z": []}'
    assert raw_member(text, "webhook_event") == '{"x":1.0,  "y":"\\/"}'
    assert raw_member(text, "missing") is None


async def test_a_listener_without_https_is_refused() -> None:
    with pytest.raises(ValueError, match="https"):
        await start(PayPalConfig(webhook_url="http://backup.example/"))
