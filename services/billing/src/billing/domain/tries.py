"""What may be tried only so often: coupon codes in vain, by whichever route they come, and prompts on a phone."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from uuid import UUID

WINDOW = timedelta(minutes=15)
"""It begins with the first code that was wrong; the next one after its end begins another."""

PROMPT_WINDOW = timedelta(hours=1)
"""It begins with the first prompt on a phone; one that nobody answers goes away after some minutes."""

IPV6_SITE = 64
"""Bits of an IPv6 address that its holder does not choose (RFC 6177): one line has 2⁶⁴ addresses."""


@dataclass(frozen=True, slots=True)
class Tried:
    """Who is counted: ``subject`` is a hash, for neither account nor address is anybody's business here."""

    subject: bytes
    most: int


@dataclass(frozen=True, slots=True)
class CouponLimits:
    """Codes that may be wrong within `WINDOW`: of one person, and of all persons at one address."""

    person: int
    address: int

    def of(self, user_id: UUID, address: str | None) -> list[Tried]:
        """Return what a try counts on, always in one order, so that two tries never wait for each other."""
        tried = [Tried(_hash("person", str(user_id)), self.person)]
        if address is not None:
            tried.append(Tried(_hash("address", _site(address)), self.address))
        return sorted(tried, key=lambda one: one.subject)


@dataclass(frozen=True, slots=True)
class PromptLimits:
    """Requests to pay that may be sent to phones within `PROMPT_WINDOW`: to one number whoever asks, for one order
    whatever the numbers, and by one person for all that he orders.
    """

    number: int
    order: int
    person: int

    def of(self, phone_number: str, order_id: UUID, user_id: UUID) -> list[Tried]:
        """Return what a prompt counts on, in the order of `CouponLimits.of`."""
        tried = [
            Tried(_hash("number", phone_number), self.number),
            Tried(_hash("order", str(order_id)), self.order),
            Tried(_hash("person", str(user_id)), self.person),
        ]
        return sorted(tried, key=lambda one: one.subject)


def _hash(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode()).digest()


def _site(address: str) -> str:
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((found, IPV6_SITE), strict=False)) if isinstance(found, IPv6Address) else address
