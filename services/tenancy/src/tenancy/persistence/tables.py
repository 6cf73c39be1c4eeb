"""Tables of tenancy. Persons and what is theirs carry no tenant; the rest leads every key with `tenant_id`.

Which role may do what with them is in the migrations and, as a whole, in `contracts/access.json`.
"""

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
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from tenancy.persistence import metadata as described
from tenancy.persistence import webhook_tables

metadata = described.metadata
webhook_endpoints = webhook_tables.webhook_endpoints
webhook_deliveries = webhook_tables.webhook_deliveries
webhook_attempts = webhook_tables.webhook_attempts

users = Table(
    "users",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("email", String(320), nullable=False, unique=True),
    Column("full_name", String(200), nullable=False),
    Column("language", String(2), nullable=False),
    at("created_at"),
    at("email_verified_at", nullable=True),
    at("disabled_at", nullable=True),
    Column("staff_roles", ARRAY(String(20)), nullable=False, server_default="{}"),
    Column("last_tenant_id", Uuid),
)
"""Accounts. `last_tenant_id` is only a preference: membership is checked whenever it is used."""

credentials = Table(
    "credentials",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("password_hash", String(500), nullable=False),
    Column("totp_sealed", LargeBinary),
    Column("totp_last_step", BigInteger),
    Column("totp_pending", LargeBinary),
    at("password_set_at", nullable=True),
    ForeignKeyConstraint(["user_id"], ["users.id"]),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("active_tenant_id", Uuid),
    at("created_at"),
    at("expires_at"),
    at("revoked_at", nullable=True),
    Column("revoked_for", String(40)),
    Column("user_agent", String(300), nullable=False, server_default=""),
    Column("address", String(45), nullable=False, server_default=""),
    at("last_used_at", nullable=True),
    at("second_factor_at", nullable=True),
    Column("sso_tenant_id", Uuid),
    UniqueConstraint("user_id", "id"),
    ForeignKeyConstraint(["user_id"], ["users.id"]),
    Index("ix_sessions_address", "user_id", "address"),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("session_id", Uuid, nullable=False),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    at("issued_at"),
    at("expires_at"),
    at("used_at", nullable=True),
    ForeignKeyConstraint(["user_id", "session_id"], ["sessions.user_id", "sessions.id"]),
    Index("ix_refresh_tokens_session", "user_id", "session_id"),
    Index("ix_refresh_tokens_expires_at", "expires_at"),
)

one_time_links = Table(
    "one_time_links",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("purpose", String(20), nullable=False),
    Column("email", String(320), nullable=False),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    at("expires_at"),
    at("used_at", nullable=True),
    Column("about_id", Uuid),
    ForeignKeyConstraint(["user_id"], ["users.id"]),
    Index("ix_one_time_links_user", "user_id"),
    Index("ix_one_time_links_expires_at", "expires_at"),
)
"""Links sent by mail to one person, bound to the address that they were sent to."""

email_changes = Table(
    "email_changes",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("change_id", Uuid, nullable=False),
    Column("new_email", String(320), nullable=False),
    at("requested_at"),
    at("left_at", nullable=True),
    at("taken_at", nullable=True),
    ForeignKeyConstraint(["user_id"], ["users.id"]),
)
"""An address that a person wants instead; it is theirs when the old and the new one have both agreed."""

recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("user_id", Uuid, nullable=False),
    Column("code_hash", LargeBinary, nullable=False),
    at("used_at", nullable=True),
    PrimaryKeyConstraint("user_id", "code_hash"),
    ForeignKeyConstraint(["user_id"], ["users.id"]),
)
"""Codes for whoever has lost their second factor, each good for one sign-in; only hashes are kept."""

passkeys = Table(
    "passkeys",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("credential_id", LargeBinary, nullable=False, unique=True),
    Column("public_key", LargeBinary, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    Column("name", String(100), nullable=False),
    at("created_at"),
    at("last_used_at", nullable=True),
    ForeignKeyConstraint(["user_id"], ["users.id"]),
    Index("ix_passkeys_user", "user_id"),
)
"""Public halves of passkeys (WebAuthn)."""

passkey_challenges = Table(
    "passkey_challenges",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid),
    Column("challenge", LargeBinary, nullable=False),
    at("expires_at"),
    Index("ix_passkey_challenges_expires_at", "expires_at"),
)
"""What a passkey has to sign, once; without a person while nobody has said who it is."""

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    at("created_at"),
    at("signs_from"),
    Column("alone", Boolean, nullable=False),
)
"""Keys that sign access tokens, private parts sealed."""

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

attempts = Table(
    "attempts",
    metadata,
    Column("kind", String(30), nullable=False),
    Column("subject", LargeBinary, nullable=False),
    Column("tries", Integer, nullable=False),
    at("began_at"),
    PrimaryKeyConstraint("kind", "subject"),
    Index("ix_attempts_began_at", "began_at"),
)
"""How often something was tried, by a hash of the account or address that it was tried with."""

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
)
"""Invitations, bound to an address; only a hash of the link's token is kept."""

impersonations = Table(
    "impersonations",
    metadata,
    tenant_id(),
    Column("id", Uuid, nullable=False),
    Column("staff_user_id", Uuid, nullable=False),
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
