"""Events: kept, signed, delivered until the receiver says 2xx; repeated, lost or out of order where a rule says so.

The signature covers `transmission id|time|webhook id|CRC32 of the raw body` (decimal), as PayPal's does. Not here:
which act makes which event.
"""

import asyncio
import base64
import datetime as dt
import json
import secrets
import uuid
import zlib
from dataclasses import dataclass, field
from typing import Any

import httpx

from simulators.faults import Faults
from simulators.paypal.certificates import Signer
from simulators.paypal.listeners import Listener, Listeners
from simulators.server import Background, UrlMap

DELIVERY_TIMEOUT_SECONDS = 30.0
MAX_DELIVERIES = 25
"""PayPal gives up after so many (https://developer.paypal.com/api/rest/webhooks/rest)."""


def now_text() -> str:
    """The present moment as PayPal writes it."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def signed_text(transmission_id: str, time: str, webhook_id: str, body: bytes) -> bytes:
    """What the signature of one transmission covers."""
    return f"{transmission_id}|{time}|{webhook_id}|{zlib.crc32(body)}".encode()


@dataclass
class Event:
    """One fact about one resource; `body` is sent as these very bytes each time."""

    id: str
    type: str
    body: bytes
    deliveries: list[int] = field(default_factory=list)
    """Statuses that the receiver answered; 0 where it could not be reached."""


class Webhooks:
    """The listeners of one REST app, and all events there were."""

    def __init__(
        self,
        *,
        signer: Signer,
        webhook_id: str,
        webhook_url: str | None,
        redelivery_seconds: tuple[float, ...],
        urls: UrlMap,
        faults: Faults,
        background: Background,
    ) -> None:
        self._signer = signer
        self._webhook_id = webhook_id
        self.listeners = Listeners()
        if webhook_url is not None:
            self.listeners.add(Listener(webhook_id, webhook_url, ["*"]))
        self._pauses = redelivery_seconds
        self._urls = urls
        self._faults = faults
        self._background = background
        self._held: Event | None = None
        self.events: dict[str, Event] = {}
        self.certificate_id = f"CERT-360caa42-fca2a594-{secrets.token_hex(4)}"
        self.origin = ""
        """Where the certificate can be fetched; known once the port is."""

    def emit(self, event_type: str, resource_type: str, summary: str, resource: dict[str, Any]) -> Event:
        """Record a fact and deliver it in the background."""
        event_id = f"WH-{secrets.token_hex(9).upper()[:17]}-{secrets.token_hex(9).upper()[:17]}"
        body = {
            "id": event_id,
            "event_version": "1.0",
            "create_time": now_text(),
            "resource_type": resource_type,
            "resource_version": "2.0",
            "event_type": event_type,
            "summary": summary,
            "resource": resource,
            "links": [
                {
                    "href": f"{self.origin}/v1/notifications/webhooks-events/{event_id}",
                    "rel": "self",
                    "method": "GET",
                }
            ],
        }
        # Compact, with a slash escaped here and there: whoever re-serialises it breaks the signature, as with PayPal.
        raw = json.dumps(body, separators=(",", ":"), ensure_ascii=False).replace("https://", "https:\\/\\/").encode()
        event = Event(event_id, event_type, raw)
        self.events[event_id] = event
        self.deliver(event)
        return event

    def deliver(self, event: Event) -> None:
        """Deliver in the background, as often as it takes or PayPal tries."""
        for listener in self.listeners.wanting(event.type):
            self._background.spawn(self._deliver(event, listener), f"paypal {event.type}")

    async def _deliver(self, event: Event, listener: Listener) -> None:
        rule = self._faults.pick("delivery", event=event.type, url=listener.url)
        copies = 1
        if rule is not None:
            await asyncio.sleep(rule.delay)
            if rule.drop == "before":
                return
            if rule.reorder and self._held is None:
                self._held = event
                return
            copies += rule.duplicate
        # Copies start together: PayPal's duplicates have arrived within a tenth of a second of each other.
        held, self._held = self._held, None
        async with asyncio.TaskGroup() as group:
            for _ in range(copies):
                group.create_task(self._until_taken(event, listener))
        if held is not None:
            await self._until_taken(held, listener)

    async def _until_taken(self, event: Event, listener: Listener) -> None:
        transmission_id = str(uuid.uuid4())
        for attempt in range(MAX_DELIVERIES):
            if await self._send(event, listener, transmission_id):
                return
            await asyncio.sleep(self._pauses[min(attempt, len(self._pauses) - 1)])

    async def _send(self, event: Event, listener: Listener, transmission_id: str) -> bool:
        headers = self.headers(event.body, transmission_id, listener.id) | {"Content-Type": "application/json"}
        async with httpx.AsyncClient(timeout=DELIVERY_TIMEOUT_SECONDS, trust_env=False) as client:
            try:
                answer = await client.post(self._urls.local(listener.url), content=event.body, headers=headers)
            except httpx.HTTPError:
                event.deliveries.append(0)
                return False
        event.deliveries.append(answer.status_code)
        return answer.is_success

    def headers(self, body: bytes, transmission_id: str, listener_id: str | None = None) -> dict[str, str]:
        """The five signature headers of one transmission of `body` to a listener, by default the configured one."""
        time = now_text()
        signature = self._signer.sign(signed_text(transmission_id, time, listener_id or self._webhook_id, body))
        return {
            "PAYPAL-TRANSMISSION-ID": transmission_id,
            "PAYPAL-TRANSMISSION-TIME": time,
            "PAYPAL-TRANSMISSION-SIG": base64.b64encode(signature).decode(),
            "PAYPAL-CERT-URL": self.certificate_url,
            "PAYPAL-AUTH-ALGO": "SHA256withRSA",
        }

    @property
    def certificate_url(self) -> str:
        return f"{self.origin}/v1/notifications/certs/{self.certificate_id}"

    def verifies(self, question: dict[str, Any], raw_event: bytes) -> bool:
        """PayPal's answer to verify-webhook-signature; `raw_event` is the event as it stood in the request."""
        known = {self._webhook_id, *(one.id for one in self.listeners.all())}
        if question["webhook_id"] not in known or question["auth_algo"] != "SHA256withRSA":
            return False
        if question["cert_url"] != self.certificate_url:
            return False
        text = signed_text(
            question["transmission_id"], question["transmission_time"], question["webhook_id"], raw_event
        )
        try:
            signature = base64.b64decode(question["transmission_sig"], validate=True)
        except ValueError:
            return False
        return self._signer.verifies(signature, text)


def raw_member(text: str, name: str) -> str | None:
    """The value of the top-level member `name` of a JSON object, as the very characters it was written with."""
    decoder = json.JSONDecoder()
    position = _skip(text, text.index("{") + 1)
    while text[position] != "}":
        key, position = decoder.raw_decode(text, position)
        start = _skip(text, text.index(":", position) + 1)
        _, position = decoder.raw_decode(text, start)
        if key == name:
            return text[start:position]
        position = _skip(text, position)
        if text[position] == ",":
            position = _skip(text, position + 1)
    return None


def _skip(text: str, position: int) -> int:
    while text[position].isspace():
        position += 1
    return position
