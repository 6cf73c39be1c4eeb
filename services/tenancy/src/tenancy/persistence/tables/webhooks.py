"""Tables of webhooks to customers."""

from common.persistence.tables import at, tenant_id
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from tenancy.persistence.tables.columns import metadata

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    tenant_id(),
    Column("id", Uuid, nullable=False),
    Column("url", String(2000), nullable=False),
    Column("description", String(200), nullable=False),
    Column("event_types", ARRAY(String(100)), nullable=False),
    Column("secret_sealed", LargeBinary, nullable=False),
    Column("former_sealed", LargeBinary),
    at("former_until", nullable=True),
    Column("enabled", Boolean, nullable=False),
    Column("off_for", String(20)),
    at("failing_since", nullable=True),
    at("last_turn_at", nullable=True),
    at("deleted_at", nullable=True),
    Column("created_by", Uuid, nullable=False),
    at("created_at"),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id"], ["organizations.tenant_id"]),
    CheckConstraint("enabled = (off_for is null)", name="off_for"),
    CheckConstraint("deleted_at is null or not enabled", name="deleted"),
    Index("ix_webhook_endpoints_deleted", "deleted_at", postgresql_where=text("deleted_at is not null")),
)
"""Where organizations want to hear of things. `last_turn_at`: when something was last claimed for it; `deleted_at`:
nobody sees it since, it is emptied, and goes when the last of its deliveries has gone."""

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    tenant_id(),
    Column("id", Uuid, nullable=False),
    Column("endpoint_id", Uuid, nullable=False),
    Column("source", String(60), nullable=False),
    Column("message_id", Uuid, nullable=False),
    Column("event_type", String(100), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("state", String(10), nullable=False, server_default="pending"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("tries", Integer, nullable=False, server_default="0"),
    at("created_at"),
    at("next_attempt_at", nullable=True),
    at("claimed_until", nullable=True),
    Column("claim_id", Uuid),
    at("finished_at", nullable=True),
    Column("last_status", SmallInteger),
    Column("last_error", String(40)),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id", "endpoint_id"], ["webhook_endpoints.tenant_id", "webhook_endpoints.id"]),
    UniqueConstraint("tenant_id", "endpoint_id", "source", "message_id", name="uq_webhook_deliveries_message"),
    CheckConstraint("state in ('pending','delivered','failed')", name="state"),
    CheckConstraint("(state = 'pending') = (finished_at is null)", name="finished"),
    Index(
        "ix_webhook_deliveries_due",
        "tenant_id",
        "endpoint_id",
        "next_attempt_at",
        postgresql_where=text("state = 'pending'"),
    ),
    Index("ix_webhook_deliveries_endpoint", "tenant_id", "endpoint_id", "id"),
    Index(
        "ix_webhook_deliveries_tests",
        "tenant_id",
        "endpoint_id",
        "created_at",
        postgresql_where=text("event_type = 'webhook.test.v1'"),
    ),
    Index(
        "ix_webhook_deliveries_claimed",
        "tenant_id",
        "endpoint_id",
        "claimed_until",
        postgresql_where=text("claimed_until is not null"),
    ),
    Index("ix_webhook_deliveries_finished", "finished_at", postgresql_where=text("finished_at is not null")),
)
"""Messages on their way; the row is the log afterwards. Who holds `claim_id` sends, and alone says what came of it."""

webhook_attempts = Table(
    "webhook_attempts",
    metadata,
    tenant_id(),
    Column("delivery_id", Uuid, nullable=False),
    Column("number", Integer, nullable=False),
    at("at"),
    Column("duration_ms", Integer, nullable=False),
    Column("status", SmallInteger),
    Column("error", String(40)),
    Column("request_head", Text, nullable=False),
    Column("response_head", Text, nullable=False),
    Column("response_body", Text, nullable=False),
    PrimaryKeyConstraint("tenant_id", "delivery_id", "number"),
    ForeignKeyConstraint(["tenant_id", "delivery_id"], ["webhook_deliveries.tenant_id", "webhook_deliveries.id"]),
    Index("ix_webhook_attempts_at", "at"),
)
"""What each try asked and heard, cut short."""
