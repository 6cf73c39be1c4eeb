"""Webhooks to customers: what they can hear of, when a message is tried again, and when an endpoint is switched off.

Not here: how a message is signed (`webhook_signatures`) and which addresses it may go to (`public_networks`).
"""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

MOST_ENDPOINTS = 10
"""Endpoints of one organization: each of its facts is written down once for each of them."""

PAUSES = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
)
"""Between one try and the next: the schedule of Standard Webhooks, ten tries in a little more than three days."""

JITTER = 0.2
"""By up to so much of itself a pause is longer, so that what failed together does not come back together."""

LONGEST_WISH = timedelta(hours=24)
"""Longest pause that a receiver can ask for by `Retry-After`."""

FAILING = timedelta(days=5)
"""An endpoint that has taken nothing for so long is switched off at its next failure: one message is tried for less."""

GONE = 410
"""With this a receiver says that it wants no more messages (RFC 9110, section 15.5.11)."""

TEST = "webhook.test.v1"
"""What is sent on request, to whichever endpoint was asked for."""
MOST_TESTS = 20
"""Such messages to one endpoint within `TEST_WINDOW`: a button is no way to load somebody's server."""
TEST_WINDOW = timedelta(hours=1)

EVENTS: Mapping[str, tuple[str, ...]] = {
    "tenancy": (
        "org.provisioned.v1", "org.plan_changed.v1", "org.updated.v1", "org.suspended.v1", "org.reactivated.v1",
        "org.expired.v1", "member.joined.v1", "member.role_changed.v1", "member.removed.v1", "api_key.revoked.v1",
    ),
    "billing": (
        "order.placed.v1", "payment.confirmed.v1", "payment.failed.v1", "payment.refunded.v1", "payment.disputed.v1",
        "invoice.issued.v1", "subscription.renewal_due.v1", "subscription.renewed.v1", "subscription.plan_changed.v1",
        "subscription.past_due.v1", "subscription.suspended.v1", "subscription.shortened.v1", "subscription.ended.v1",
    ),
    "backup-engine": (
        "backup.completed.v1", "backup.failed.v1", "restore.completed.v1", "points.deleted.v1", "quota.nearing.v1",
        "quota.reached.v1",
    ),
}  # fmt: skip
"""Facts that customers can hear of, by their owner."""

WITHHELD: Mapping[str, str] = {
    "org.particulars_changed.v1": "what the organization's own settings say, for billing alone",
    "org.deleted.v1": "the endpoints go with the organization",
    "subscription.deletion_due.v1": "a wish of billing's, which the owner is warned of by mail",
    "usage.recorded.v1": "figures every few minutes, which the API shows",
    "audit.recorded.v1": "the audit log has an export of its own, and names persons",
    "session.revoked.v1": "a person's own, of no organization",
    "user.registered.v1": "a person's own, of no organization",
}
"""Facts that are not told to customers, and why."""


class Off(StrEnum):
    """Why an endpoint is switched off."""

    BY_PERSON = "by_person"
    GONE = "gone"
    FAILING = "failing"


class State(StrEnum):
    """Where a delivery stands; one that has ended may be replayed."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an organization wants to hear of things. `failing_since`: the first failure after the last success."""

    id: UUID
    tenant_id: UUID
    url: str
    description: str
    event_types: tuple[str, ...]
    enabled: bool
    off_for: Off | None
    failing_since: datetime | None
    former_until: datetime | None
    created_by: UUID
    created_at: datetime

    @property
    def host(self) -> str:
        """The host and port of the address: what may be told of it, for path and query may be secret."""
        return self.url.split("/", 3)[2].partition("?")[0]

    def wants(self, event_type: str) -> bool:
        """Whether it hears of facts of this type."""
        noun = event_type.partition(".")[0]
        return not {"*", f"{noun}.*", event_type}.isdisjoint(self.event_types)


@dataclass(frozen=True, slots=True)
class Sealed:
    """The secrets of an endpoint as they are kept, the one in force first."""

    current: bytes
    former: bytes | None
    former_until: datetime | None

    def in_force(self, now: datetime) -> tuple[bytes, ...]:
        if self.former is None or self.former_until is None or now >= self.former_until:
            return (self.current,)
        return (self.current, self.former)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message on its way to one endpoint. `tries` are those since it was last begun, `attempts` all of them."""

    id: UUID
    tenant_id: UUID
    endpoint_id: UUID
    message_id: UUID
    event_type: str
    state: State
    attempts: int
    tries: int
    created_at: datetime
    next_attempt_at: datetime | None
    finished_at: datetime | None
    last_status: int | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one try asked and heard, cut short. `error` is a code, none where there was an answer."""

    number: int
    at: datetime
    duration_ms: int
    status: int | None
    error: str | None
    request_head: str
    response_head: str
    response_body: str


@dataclass(frozen=True, slots=True)
class Heard:
    """How a receiver answered, cut short, or why it did not. `retry_after`: the pause that it asked for."""

    status: int | None = None
    error: str | None = None
    head: str = ""
    body: str = ""
    retry_after: timedelta | None = None

    @property
    def taken(self) -> bool:
        """Whether the message counts as delivered: any 2xx."""
        return self.status is not None and 200 <= self.status <= 299


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent to one endpoint at one try."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(repr=False)


def known_types() -> list[str]:
    """Every type that an endpoint can name."""
    return sorted(one for types in EVENTS.values() for one in types)


def wishes(event_types: Sequence[str]) -> tuple[str, ...] | None:
    """What an endpoint wants to hear of, sorted and each once; None where one of them is nothing we tell."""
    known = set(known_types())
    allowed = known | {f"{one.partition('.')[0]}.*" for one in known} | {"*"}
    wanted = tuple(sorted(set(event_types)))
    return wanted if wanted and allowed.issuperset(wanted) else None


def is_told(source: str, event_type: str) -> bool:
    return event_type in EVENTS.get(source, ())


def written(
    *, message_id: UUID, event_type: str, at: datetime, organization_id: UUID, subject: str, data: Mapping[str, Any]
) -> bytes:
    """The body of a message, which is the same at every try."""
    body = {
        "id": str(message_id),
        "type": event_type,
        "timestamp": at.isoformat().replace("+00:00", "Z"),
        "organization_id": str(organization_id),
        "subject": subject,
        "data": data,
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def pause_after(tries: int, wish: timedelta | None) -> timedelta | None:
    """How long to wait after the n-th try; None after the last. What the receiver asked for is waited at least."""
    if tries > len(PAUSES):
        return None
    planned = PAUSES[tries - 1]
    lengthened = planned * (1 + random.uniform(0, JITTER))  # noqa: S311 - spreads load, guards nothing
    return max(lengthened, min(wish, LONGEST_WISH)) if wish else lengthened


def off_after(heard: Heard, failing_since: datetime, now: datetime) -> Off | None:
    """Whether a failure switches its endpoint off."""
    if heard.status == GONE:
        return Off.GONE
    return Off.FAILING if now - failing_since >= FAILING else None
