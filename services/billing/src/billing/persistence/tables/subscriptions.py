"""Subscriptions with their periods, and what tenancy and the backup engine told of their organizations."""

from common.persistence.tables import at, tenant_id
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from billing.persistence.tables.columns import currency, metadata, minor, to_order

subscriptions = Table(
    "subscriptions",
    metadata,
    tenant_id(),
    Column("plan", JSONB, nullable=False),
    Column("billing_cycle", String(10), nullable=False),
    Column("currency", String(3), nullable=False, server_default="XAF"),
    Column("status", String(10), nullable=False),
    Column("anchor_day", SmallInteger, nullable=False),
    at("started_at"),
    at("ends_at"),
    Column("version", Integer, nullable=False),
    Column("status_since", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("reason", String(20)),
    Column("cancel_at_period_end", Boolean, nullable=False, server_default=text("false")),
    Column("auto_renew", Boolean, nullable=False, server_default=text("false")),
    Column("auto_renew_phone", String(40)),
    at("charged_for", nullable=True),
    Column("told_days", SmallInteger),
    Column("stepped_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("next_step_at", DateTime(timezone=True), server_default=text("now()")),
    PrimaryKeyConstraint("tenant_id"),
    Index("ix_subscriptions_due", "next_step_at", postgresql_where=text("next_step_at is not null")),
)
"""``told_days`` is the last reminder or warning of this period and status, in days before its date; ``charged_for`` the
end for which Mobile Money was asked; ``next_step_at`` when `domain.lifecycle` wants to be asked again."""

subscription_periods = Table(
    "subscription_periods",
    metadata,
    tenant_id(),
    Column("order_id", Uuid, nullable=False),
    Column("plan", JSONB, nullable=False),
    Column("billing_cycle", String(10), nullable=False),
    minor("paid_minor"),
    currency(),
    at("starts_at"),
    at("ends_at"),
    Column("anchor_day", SmallInteger, nullable=False),
    at("replaced_at", nullable=True),
    Column("replaced_by", Uuid),
    Column("credited_minor", BigInteger, nullable=False, server_default="0"),
    PrimaryKeyConstraint("tenant_id", "order_id"),
    to_order(),
    CheckConstraint("ends_at > starts_at", name="forwards"),
    CheckConstraint("credited_minor >= 0", name="credited"),
)
"""``replaced_by`` is the change of plan that cut it short, ``credited_minor`` what of its order's money, tax
included, the customer has back by that: it is not refunded again."""

organizations = Table(
    "organizations",
    metadata,
    tenant_id(),
    Column("owner_id", Uuid),
    Column("document", JSONB, nullable=False),
    Column("version", Integer, nullable=False),
    at("updated_at"),
    PrimaryKeyConstraint("tenant_id"),
    Index("ix_organizations_owner", "owner_id"),
)
"""Tenancy's organization objects as last told, for answers; tenancy owns them."""

organization_particulars = Table(
    "organization_particulars",
    metadata,
    tenant_id(),
    Column("name", String(200), nullable=False),
    Column("email", String(320), nullable=False),
    Column("phone", String(40)),
    Column("address", String(300)),
    Column("rccm", String(60)),
    Column("niu", String(60)),
    Column("version", Integer, nullable=False),
    at("stated_at"),
    PrimaryKeyConstraint("tenant_id"),
)
"""Who organizations are on their invoices by their settings, as last told: for what an order leaves empty."""

usage_figures = Table(
    "usage_figures",
    metadata,
    tenant_id(),
    Column("figures", JSONB, nullable=False),
    PrimaryKeyConstraint("tenant_id"),
)
"""What the backup engine last counted, each figure with its time; for a change of plan only."""
