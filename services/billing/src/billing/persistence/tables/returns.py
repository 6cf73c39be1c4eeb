"""Money that goes back, by us or without us, and what a person has to look at."""

from common.persistence.tables import at, tenant_id
from sqlalchemy import (
    CheckConstraint,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from billing.persistence.tables.columns import currency, metadata, minor, to_order, to_payment

refunds = Table(
    "refunds",
    metadata,
    tenant_id(),
    Column("id", Uuid, nullable=False),
    Column("payment_id", Uuid, nullable=False),
    Column("order_id", Uuid, nullable=False),
    Column("method", String(20), nullable=False),
    Column("channel", String(10), nullable=False),
    Column("status", String(12), nullable=False),
    minor("amount_minor"),
    currency(),
    minor("from_order_minor"),
    minor("from_credit_minor"),
    currency("order_currency"),
    Column("request_id", String(108), nullable=False),
    Column("requests", Integer, nullable=False),
    Column("provider_reference", String(80)),
    Column("refund_reference", String(80)),
    Column("reason", Text, nullable=False),
    Column("reason_code", String(80)),
    Column("requested_by", Uuid),
    Column("decided_by", Uuid),
    Column("polls", Integer, nullable=False),
    at("next_poll_at", nullable=True),
    at("created_at"),
    at("updated_at"),
    at("sent_at", nullable=True),
    at("completed_at", nullable=True),
    PrimaryKeyConstraint("tenant_id", "id"),
    to_payment(),
    to_order(),
    Index("uq_refunds_method_refund_reference", "method", "refund_reference", unique=True),
    Index("ix_refunds_payment", "tenant_id", "payment_id"),
    Index("ix_refunds_due", "next_poll_at", postgresql_where=text("next_poll_at is not null")),
    CheckConstraint("amount_minor > 0 and from_order_minor >= 0 and from_credit_minor >= 0", name="positive"),
    CheckConstraint("requested_by <> decided_by", name="two_people"),
)
"""Money that goes back; each row is committed, with its keys, before its provider is called. ``requested_by`` is null
where the provider gave it back without us."""

disputes = Table(
    "disputes",
    metadata,
    tenant_id(),
    Column("id", Uuid, nullable=False),
    Column("payment_id", Uuid, nullable=False),
    Column("kind", String(10), nullable=False),
    Column("reference", String(80), nullable=False),
    Column("status", String(10), nullable=False),
    Column("reason", String(80), nullable=False),
    minor("amount_minor", nullable=True),
    currency(nullable=True),
    at("opened_at"),
    at("resolved_at", nullable=True),
    at("next_poll_at", nullable=True),
    at("lifted_at", nullable=True),
    Column("lifted_by", Uuid),
    PrimaryKeyConstraint("tenant_id", "id"),
    UniqueConstraint("tenant_id", "payment_id", "reference"),
    to_payment(),
    Index("ix_disputes_due", "next_poll_at", postgresql_where=text("next_poll_at is not null")),
)
"""Money that payers want back from the provider, and money that it took back."""

cases = Table(
    "cases",
    metadata,
    tenant_id(),
    Column("id", Uuid, nullable=False),
    Column("kind", String(30), nullable=False),
    Column("payment_id", Uuid, nullable=False),
    Column("reference", String(80), nullable=False, server_default=""),
    Column("details", JSONB, nullable=False),
    at("opened_at"),
    at("closed_at", nullable=True),
    Column("closed_by", Uuid),
    Column("note", Text),
    PrimaryKeyConstraint("tenant_id", "id"),
    UniqueConstraint("tenant_id", "kind", "payment_id", "reference"),
    to_payment(),
)
"""What a person of finance has to look at: quarantined, surplus, over-long or misconfigured payments."""
