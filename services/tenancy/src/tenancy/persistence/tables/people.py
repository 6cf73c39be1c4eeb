"""Persons, how they prove who they are, and their sessions."""

from common.persistence.tables import at
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY

from tenancy.persistence.tables.columns import metadata

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
    at("staff_dismissed_at", nullable=True),
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
    Index("ix_sessions_expires_at", "expires_at"),
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
