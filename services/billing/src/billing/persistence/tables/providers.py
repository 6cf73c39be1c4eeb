"""What providers tell us, and how often they are asked."""

from common.persistence.tables import at
from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, PrimaryKeyConstraint, String, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from billing.persistence.tables.columns import counted_tries, metadata

webhook_events = Table(
    "webhook_events",
    metadata,
    Column("provider", String(20), nullable=False),
    Column("event_id", String(100), nullable=False),
    Column("event_type", String(100), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("headers", JSONB, nullable=False),
    at("received_at"),
    at("handled_at", nullable=True),
    at("next_attempt_at"),
    Column("attempts", Integer, nullable=False),
    Column("outcome", Text),
    PrimaryKeyConstraint("provider", "event_id"),
    Index("ix_webhook_events_due", "next_attempt_at", postgresql_where=text("handled_at is null")),
)
"""Raw signed events, each stored once by the provider's id; which tenant each is about is found when it is handled."""

provider_budgets = Table(
    "provider_budgets",
    metadata,
    Column("provider", String(20), primary_key=True),
    Column("millitokens", BigInteger, nullable=False),
    at("refilled_at"),
)
"""A token bucket per provider, shared by all processes: how many questions it may still be asked."""

payment_prompts = counted_tries("payment_prompts")
"""Requests to pay that went to phones, by a hash of the number, the order or the person (``domain.tries``)."""
