"""Bodies and answers of webhooks to customers."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from common.web import Answer, Body, OneLine
from pydantic import AwareDatetime, Field

from tenancy.domain.webhook_urls import LONGEST

Url = Annotated[str, Field(min_length=1, max_length=LONGEST)]
EventTypes = Annotated[list[Annotated[str, Field(max_length=100)]], Field(min_length=1, max_length=100)]
Description = Annotated[OneLine, Field(max_length=200)]


class WebhookEndpointIn(Body):
    """An endpoint to be made. It hears of `event_types`: types, all of a noun as `backup.*`, or all as `*`."""

    url: Url = Field(description="https, on the internet, without credentials or fragment")
    event_types: EventTypes = Field(["*"])
    description: Description = ""


class WebhookEndpointChangeIn(Body):
    """What is to be different; what is left out stays. Switched off, an endpoint gets nothing, nor what it missed."""

    url: Url | None = None
    event_types: EventTypes | None = None
    description: Description | None = None
    enabled: bool | None = None


class WebhookEndpointOut(Answer):
    """An endpoint without its secret. `off_for`: by_person, gone or failing; `former_until`: until when the secret
    before this one signs too.
    """

    id: UUID
    url: str
    description: str
    event_types: list[str]
    enabled: bool
    off_for: str | None
    failing_since: datetime | None
    former_until: datetime | None
    created_by: UUID
    created_at: datetime


class WebhookSecretOut(WebhookEndpointOut):
    """The one answer that has the secret: it signs what is sent from now on (Standard Webhooks, `whsec_…`)."""

    secret: str


class RotationIn(Body):
    """How long the former secret goes on to sign, too: a day unless said otherwise, at most seven."""

    overlap_hours: int = Field(24, ge=0, le=168)


class WebhookDeliveryOut(Answer):
    """One message to one endpoint. `state`: pending, delivered or failed; `message_id` is its `webhook-id`."""

    id: UUID
    endpoint_id: UUID
    message_id: UUID
    event_type: str
    state: str
    attempts: int
    created_at: datetime
    next_attempt_at: datetime | None
    finished_at: datetime | None
    last_status: int | None
    last_error: str | None


class WebhookAttemptOut(Answer):
    """One try; heads and body are cut short. `error` says why there was no answer, or not all of one."""

    number: int
    at: datetime
    duration_ms: int
    status: int | None
    error: str | None
    request_head: str
    response_head: str
    response_body: str


class WebhookDeliveryDetailOut(WebhookDeliveryOut):
    """A message with its body and its tries, the newest first."""

    body: str
    tries: list[WebhookAttemptOut]


class ReplayIn(Body):
    """From when on what was written and has failed is sent again."""

    since: AwareDatetime


class ReplayedOut(Answer):
    """How many messages are sent again."""

    replayed: int


class EventTypeOut(Answer):
    """A type of fact that an endpoint can hear of; `data_schema` names the published schema of its `data`."""

    type: str
    source: str
    data_schema: str
