"""Where PayPal sends its webhooks: the listener of this deployment, made, corrected and looked at by its operator.

PayPal allows ten addresses per application and each of them once; the id that it gives to ours is `PAYPAL_WEBHOOK_ID`,
without which no signature can be checked (https://developer.paypal.com/api/rest/webhooks/rest).
"""

from dataclasses import dataclass
from typing import Any

from billing.adapters.paypal import PayPal

WEBHOOKS = "/v1/notifications/webhooks"

EVENTS = (
    "CHECKOUT.ORDER.APPROVED",
    "CHECKOUT.PAYMENT-APPROVAL.REVERSED",
    "CUSTOMER.DISPUTE.CREATED",
    "CUSTOMER.DISPUTE.RESOLVED",
    "CUSTOMER.DISPUTE.UPDATED",
    "PAYMENT.CAPTURE.COMPLETED",
    "PAYMENT.CAPTURE.DECLINED",
    "PAYMENT.CAPTURE.DENIED",
    "PAYMENT.CAPTURE.PENDING",
    "PAYMENT.CAPTURE.REFUNDED",
    "PAYMENT.CAPTURE.REVERSED",
)
"""What we want to hear of; each only makes us ask."""


@dataclass(frozen=True, slots=True)
class Listener:
    """One address that PayPal sends events to."""

    id: str
    url: str
    events: tuple[str, ...]

    def lacks(self) -> list[str]:
        """Return which of `EVENTS` it does not hear of."""
        return [] if "*" in self.events else [name for name in EVENTS if name not in self.events]

    @classmethod
    def of(cls, body: dict[str, Any]) -> "Listener":
        """Read PayPal's own description."""
        events = sorted(str(event["name"]) for event in body.get("event_types", []))
        return cls(str(body["id"]), str(body["url"]), tuple(events))


class Listeners:
    """The listeners of our PayPal application. Every call may be repeated.

    All raise `ProviderUnavailable`, `ProviderRefused` or `ProviderMisconfigured`.
    """

    def __init__(self, paypal: PayPal) -> None:
        self._paypal = paypal

    async def all(self) -> list[Listener]:
        """Return what PayPal has."""
        answer = await self._paypal.ask("GET", WEBHOOKS)
        return [Listener.of(body) for body in (answer or {}).get("webhooks", [])]

    async def ensure(self, url: str) -> tuple[Listener, str]:
        """Make the listener at an address, or correct what it hears of; say which: created, updated or unchanged."""
        wanted = [{"name": name} for name in EVENTS]
        known = next((one for one in await self.all() if one.url == url), None)
        if known is None:
            made = await self._paypal.ask("POST", WEBHOOKS, {"url": url, "event_types": wanted})
            assert made is not None
            return Listener.of(made), "created"
        if known.events in {EVENTS, ("*",)}:
            return known, "unchanged"
        change = [{"op": "replace", "path": "/event_types", "value": wanted}]
        patched = await self._paypal.ask("PATCH", f"{WEBHOOKS}/{known.id}", change)
        assert patched is not None
        return Listener.of(patched), "updated"

    async def delete(self, listener_id: str) -> bool:
        """Have PayPal forget a listener; False where it has none of this id."""
        if all(one.id != listener_id for one in await self.all()):
            return False
        await self._paypal.ask("DELETE", f"{WEBHOOKS}/{listener_id}")
        return True
