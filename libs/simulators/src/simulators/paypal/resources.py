"""What one merchant's account holds: orders, captures, refunds, disputes, and how PayPal spells ids and times."""

import datetime as dt
import secrets
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Letters and digits of PayPal's ids; those of accounts leave out what can be misread."""


def new_id(length: int = 17) -> str:
    """An id in PayPal's spelling."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def stamp(moment: dt.datetime) -> str:
    """A time in PayPal's spelling."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Refund:
    id: str
    value: Decimal
    currency: str
    created: dt.datetime
    fields: dict[str, str]
    status: str = "COMPLETED"


@dataclass
class Capture:
    id: str
    order: "Order" = field(repr=False)
    value: Decimal
    currency: str
    created: dt.datetime
    status: str
    reason: str | None = None
    refunds: list[Refund] = field(default_factory=list)

    @property
    def refunded(self) -> Decimal:
        """What is refunded or on its way; a failed refund gives its amount back."""
        counted = (refund.value for refund in self.refunds if refund.status in ("COMPLETED", "PENDING"))
        return sum(counted, Decimal(0))

    def restate(self) -> None:
        """Say whether part or all of a captured sum has gone back."""
        if self.status in ("COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"):
            done = self.refunded
            self.status = "COMPLETED" if not done else "REFUNDED" if done == self.value else "PARTIALLY_REFUNDED"


@dataclass
class Dispute:
    id: str
    capture: Capture
    created: dt.datetime
    reason: str
    status: str = "WAITING_FOR_SELLER_RESPONSE"
    outcome: str | None = None


@dataclass
class Order:
    id: str
    request: dict[str, Any]
    value: Decimal
    currency: str
    created: dt.datetime
    status: str
    approved: dt.datetime | None = None
    payer_id: str | None = None
    capture: Capture | None = None
    declined: int = 0

    @property
    def unit(self) -> dict[str, Any]:
        unit: dict[str, Any] = self.request["purchase_units"][0]
        return unit

    @property
    def names_paypal(self) -> bool:
        return "paypal" in self.request.get("payment_source", {})

    def experience(self) -> dict[str, Any]:
        """Where the payer comes back to, in the current spelling or the old one."""
        wallet = self.request.get("payment_source", {}).get("paypal", {})
        found = wallet.get("experience_context") or self.request.get("application_context") or {}
        assert isinstance(found, dict)
        return found
