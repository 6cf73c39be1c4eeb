"""The webhook listeners of one REST app: where events go, and which; at most ten, each address once."""

import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from simulators.paypal.issues import IssueError

MOST = 10
KNOWN = frozenset(
    {
        "CHECKOUT.ORDER.APPROVED",
        "CHECKOUT.PAYMENT-APPROVAL.REVERSED",
        "PAYMENT.CAPTURE.COMPLETED",
        "PAYMENT.CAPTURE.DECLINED",
        "PAYMENT.CAPTURE.DENIED",
        "PAYMENT.CAPTURE.PENDING",
        "PAYMENT.CAPTURE.REFUNDED",
        "PAYMENT.CAPTURE.REVERSED",
        "CUSTOMER.DISPUTE.CREATED",
        "CUSTOMER.DISPUTE.UPDATED",
        "CUSTOMER.DISPUTE.RESOLVED",
    }
)
"""Names of events that can be subscribed to; `*` is all of them, and those to come."""


@dataclass
class Listener:
    """One address and what it wants to hear."""

    id: str
    url: str
    events: list[str]

    def wants(self, event_type: str) -> bool:
        return "*" in self.events or event_type in self.events

    def body(self) -> dict[str, Any]:
        """The webhook resource."""
        described = [{"name": name, "description": name.lower(), "status": "ENABLED"} for name in self.events]
        return {"id": self.id, "url": self.url, "event_types": described, "links": []}


class Listeners:
    """All listeners, by id."""

    def __init__(self) -> None:
        self._listeners: dict[str, Listener] = {}

    def add(self, listener: Listener) -> None:
        self._listeners[listener.id] = listener

    def all(self) -> list[Listener]:
        return list(self._listeners.values())

    def wanting(self, event_type: str) -> list[Listener]:
        return [one for one in self._listeners.values() if one.wants(event_type)]

    def find(self, listener_id: str) -> Listener:
        """The listener.

        Raises:
            IssueError: 404.
        """
        if listener_id not in self._listeners:
            raise IssueError(404, "INVALID_RESOURCE_ID")
        return self._listeners[listener_id]

    def create(self, request: dict[str, Any]) -> Listener:
        """A new listener.

        Raises:
            IssueError: no https address, one that is there already, one too many, or unknown events.
        """
        url = request.get("url")
        if not isinstance(url, str) or urlsplit(url).scheme != "https" or urlsplit(url).port not in (None, 443):
            raise IssueError(400, "INVALID_PARAMETER_SYNTAX", "/url")
        events = _events(request.get("event_types"))
        if any(one.url == url for one in self._listeners.values()):
            raise IssueError(400, "WEBHOOK_URL_ALREADY_EXISTS", "/url")
        if len(self._listeners) >= MOST:
            raise IssueError(400, "WEBHOOK_NUMBER_LIMIT_EXCEEDED")
        made = Listener(secrets.token_hex(9).upper()[:17], url, events)
        self.add(made)
        return made

    def patch(self, listener: Listener, changes: Any) -> None:
        """Replace what a listener hears, or where.

        Raises:
            IssueError: anything but `replace` of `/event_types` or `/url`.
        """
        for change in changes if isinstance(changes, list) and changes else [None]:
            if not isinstance(change, dict) or change.get("op") != "replace":
                raise IssueError(400, "INVALID_PARAMETER_VALUE", "/op")
            if change.get("path") == "/event_types":
                listener.events = _events(change.get("value"))
            elif change.get("path") == "/url" and str(change.get("value")).startswith("https://"):
                listener.url = str(change["value"])
            else:
                raise IssueError(400, "INVALID_PARAMETER_VALUE", "/path")

    def delete(self, listener_id: str) -> None:
        """Forget a listener.

        Raises:
            IssueError: 404.
        """
        del self._listeners[self.find(listener_id).id]


def _events(described: Any) -> list[str]:
    if not isinstance(described, list) or not described:
        raise IssueError(400, "MISSING_REQUIRED_PARAMETER", "/event_types")
    names = [one.get("name") if isinstance(one, dict) else None for one in described]
    if not all(name == "*" or name in KNOWN for name in names):
        raise IssueError(400, "INVALID_PARAMETER_VALUE", "/event_types")
    return [str(name) for name in names]
