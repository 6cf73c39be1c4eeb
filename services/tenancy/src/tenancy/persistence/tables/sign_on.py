"""How an organization wants its members to sign in."""

from common.persistence.tables import at, tenant_id
from sqlalchemy import (
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    Uuid,
    text,
)

from tenancy.persistence.tables.columns import metadata

sign_in_rules = Table(
    "sign_in_rules",
    metadata,
    tenant_id(),
    Column("second_factor_required", Boolean, nullable=False),
    Column("sso_required", Boolean, nullable=False),
    PrimaryKeyConstraint("tenant_id"),
    ForeignKeyConstraint(["tenant_id"], ["organizations.tenant_id"]),
)
"""What an organization demands of its members' sessions."""

sso_connections = Table(
    "sso_connections",
    metadata,
    tenant_id(),
    Column("issuer", String(500), nullable=False),
    Column("client_id", String(500), nullable=False),
    Column("secret_sealed", LargeBinary, nullable=False),
    PrimaryKeyConstraint("tenant_id"),
    ForeignKeyConstraint(["tenant_id"], ["organizations.tenant_id"]),
)
"""An organization's identity provider."""

sso_domains = Table(
    "sso_domains",
    metadata,
    tenant_id(),
    Column("domain", String(253), nullable=False),
    Column("token", String(60), nullable=False),
    at("verified_at", nullable=True),
    PrimaryKeyConstraint("tenant_id", "domain"),
    ForeignKeyConstraint(["tenant_id"], ["organizations.tenant_id"]),
    Index("ux_sso_domains_verified", "domain", unique=True, postgresql_where=text("verified_at is not null")),
)
"""Domains that organizations say are theirs; one that is proved is one organization's only."""

sso_states = Table(
    "sso_states",
    metadata,
    tenant_id(),
    Column("state_hash", LargeBinary, nullable=False),
    Column("binding_hash", LargeBinary, nullable=False),
    Column("nonce", String(60), nullable=False),
    Column("verifier", String(60), nullable=False),
    at("expires_at"),
    PrimaryKeyConstraint("tenant_id", "state_hash"),
    Index("ix_sso_states_state_hash", "state_hash"),
    Index("ix_sso_states_expires_at", "expires_at"),
)
"""Sign-ins that are on their way through a provider; each comes back once."""

sso_identities = Table(
    "sso_identities",
    metadata,
    Column("issuer", String(500), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("user_id", Uuid, nullable=False),
    at("linked_at"),
    PrimaryKeyConstraint("issuer", "subject"),
    ForeignKeyConstraint(["user_id"], ["users.id"]),
    Index("ix_sso_identities_user", "user_id"),
)
"""As whom identity providers know a person."""
