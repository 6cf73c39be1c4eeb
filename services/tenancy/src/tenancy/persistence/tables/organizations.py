"""Organizations, their members, and what is done in them."""

from common.persistence.tables import at, tenant_id
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from tenancy.persistence.tables.columns import metadata

organizations = Table(
    "organizations",
    metadata,
    tenant_id(),
    Column("name", String(200), nullable=False),
    Column("slug", String(63), nullable=False, unique=True),
    Column("status", String(20), nullable=False),
    Column("owner_user_id", Uuid, nullable=False),
    Column("email", String(320), nullable=False),
    Column("region", String(40), nullable=False),
    Column("source_order_id", Uuid, nullable=False, unique=True),
    Column("phone", String(40)),
    Column("address", String(300)),
    Column("rccm", String(60)),
    Column("niu", String(60)),
    Column("technical_email", String(320)),
    Column("held_for", String(500)),
    at("deletion_due_at", nullable=True),
    at("subscription_start"),
    Column("version", Integer, nullable=False),
    at("created_at"),
    PrimaryKeyConstraint("tenant_id"),
    Index("ix_organizations_deletion_due", "deletion_due_at", postgresql_where=text("deletion_due_at is not null")),
    CheckConstraint("status in ('pending','active','suspended','cancelled','expired','deleted')", name="status"),
)
"""Customers. The id of an organization is its tenant id."""

memberships = Table(
    "memberships",
    metadata,
    tenant_id(),
    Column("user_id", Uuid, nullable=False),
    Column("role", String(20), nullable=False),
    Column("email", String(320), nullable=False),
    Column("full_name", String(200), nullable=False),
    at("joined_at"),
    PrimaryKeyConstraint("tenant_id", "user_id"),
    ForeignKeyConstraint(["tenant_id"], ["organizations.tenant_id"]),
    ForeignKeyConstraint(["user_id"], ["users.id"]),
    CheckConstraint("role in ('owner','admin','member','viewer')", name="role"),
    Index("ix_memberships_user", "user_id", "joined_at"),
)
"""Who belongs where; name and address as fellow members see them, so that nobody reads the table of accounts."""

entitlements = Table(
    "entitlements",
    metadata,
    tenant_id(),
    Column("plan", String(60), nullable=False),
    Column("billing_cycle", String(20), nullable=False),
    Column("quotas", JSONB, nullable=False),
    Column("features", JSONB, nullable=False),
    Column("retention", JSONB, nullable=False),
    Column("subscription_version", Integer, nullable=False, server_default="0"),
    at("period_start"),
    at("period_end"),
    PrimaryKeyConstraint("tenant_id"),
    ForeignKeyConstraint(["tenant_id"], ["organizations.tenant_id"]),
    CheckConstraint("period_end > period_start", name="period"),
)
"""What is in force: one row per organization, locked while something is counted against it."""

applied_orders = Table(
    "applied_orders",
    metadata,
    tenant_id(),
    Column("order_id", Uuid, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("plan", String(60), nullable=False),
    at("period_end"),
    at("applied_at"),
    PrimaryKeyConstraint("tenant_id", "order_id"),
    ForeignKeyConstraint(["tenant_id"], ["organizations.tenant_id"]),
)
"""Paid orders that have had their effect, so that a second event about one has none."""

usage_metrics = Table(
    "usage_metrics",
    metadata,
    tenant_id(),
    Column("period_start", Date, nullable=False),
    Column("period_end", Date, nullable=False),
    Column("esxi_servers_count", Integer, nullable=False),
    Column("vms_count", Integer, nullable=False),
    Column("backups_count", Integer, nullable=False),
    Column("storage_bytes", BigInteger, nullable=False),
    Column("users_count", Integer, nullable=False),
    Column("measured", JSONB, nullable=False),
    PrimaryKeyConstraint("tenant_id", "period_start"),
    ForeignKeyConstraint(["tenant_id"], ["organizations.tenant_id"]),
    CheckConstraint("period_end > period_start", name="period"),
)
"""Figures per usage month; `measured` says when each was true, so that a late report of an old one changes nothing."""

invitations = Table(
    "invitations",
    metadata,
    tenant_id(),
    Column("id", Uuid, nullable=False),
    Column("email", String(320), nullable=False),
    Column("role", String(20), nullable=False),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("invited_by", Uuid, nullable=False),
    at("created_at"),
    at("expires_at"),
    at("sent_at"),
    at("accepted_at", nullable=True),
    Column("revoked", Boolean, nullable=False, server_default=text("false")),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id"], ["organizations.tenant_id"]),
    CheckConstraint("role in ('owner','admin','member','viewer')", name="role"),
    Index("ix_invitations_email", "tenant_id", "email"),
    Index("ix_invitations_expires_at", "expires_at"),
)
"""Invitations, bound to an address; only a hash of the link's token is kept."""

impersonations = Table(
    "impersonations",
    metadata,
    tenant_id(),
    Column("id", Uuid, nullable=False),
    Column("staff_user_id", Uuid, nullable=False),
    Column("staff_session_id", Uuid),
    Column("user_id", Uuid, nullable=False),
    Column("reason", String(500), nullable=False),
    at("started_at"),
    at("expires_at"),
    at("ended_at", nullable=True),
    Column("ended_by", Uuid),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id"], ["organizations.tenant_id"]),
    CheckConstraint("expires_at <= started_at + interval '60 minutes'", name="short"),
    Index("ix_impersonations_open", "expires_at", postgresql_where=text("ended_at is null")),
    Index("ix_impersonations_staff", "staff_user_id", postgresql_where=text("ended_at is null")),
)
"""When somebody of the platform's staff acted in the name of an organization's owner, and why."""

audit_entries = Table(
    "audit_entries",
    metadata,
    tenant_id(),
    Column("source", String(60), nullable=False),
    Column("id", Uuid, nullable=False),
    Column("number", BigInteger, nullable=False),
    at("at"),
    Column("actor", String(100), nullable=False),
    Column("action", String(100), nullable=False),
    Column("target", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("address", String(45)),
    Column("details", JSONB, nullable=False),
    PrimaryKeyConstraint("tenant_id", "source", "id"),
    Index("ix_audit_entries_at", "tenant_id", "at", "id"),
)
"""What other services' audit logs say; tenancy's own is beside it, and the owner reads both as one."""

platform_audit_entries = Table(
    "platform_audit_entries",
    metadata,
    Column("source", String(60), nullable=False),
    Column("id", Uuid, nullable=False),
    Column("number", BigInteger, nullable=False),
    at("at"),
    Column("actor", String(100), nullable=False),
    Column("action", String(100), nullable=False),
    Column("target", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("address", String(45)),
    Column("details", JSONB, nullable=False),
    PrimaryKeyConstraint("source", "id"),
    Index("ix_platform_audit_entries_at", "at", "id"),
)
"""What other services' audit logs say that belongs to no organization: only the platform's staff reads it."""

api_keys = Table(
    "api_keys",
    metadata,
    tenant_id(),
    Column("id", Uuid, nullable=False),
    Column("name", String(100), nullable=False),
    Column("prefix", String(20), nullable=False),
    Column("key_hmac", LargeBinary, nullable=False, unique=True),
    Column("role", String(20), nullable=False),
    Column("scopes", ARRAY(String(40)), nullable=False),
    Column("allowed_networks", ARRAY(String(50)), nullable=False),
    Column("created_by", Uuid, nullable=False),
    at("created_at"),
    at("expires_at", nullable=True),
    at("last_used_at", nullable=True),
    at("revoked_at", nullable=True),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id"], ["organizations.tenant_id"]),
    CheckConstraint("role in ('admin','member','viewer')", name="role"),
)
"""Keys of programs; what is kept of the secret is an HMAC, whose key is not in the database."""
