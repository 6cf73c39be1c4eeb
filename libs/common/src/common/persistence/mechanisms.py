"""Tables of the shared mechanisms; each service's database has its own copy of them.

``metadata_for`` gives a service the MetaData that its ``tables.py`` goes on with.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

_shared = MetaData(naming_convention=NAMING)


def at(name: str, *, nullable: bool = False) -> Column[object]:
    """Return a time column: aware, in UTC."""
    return Column(name, DateTime(timezone=True), nullable=nullable)


outbox = Table(
    "outbox",
    _shared,
    Column("position", BigInteger, Identity(always=True), primary_key=True),
    Column("id", Uuid, nullable=False, unique=True),
    Column("tenant_id", Uuid),
    Column("type", String(100), nullable=False),
    Column("envelope", JSONB, nullable=False),
    at("created_at"),
    at("published_at", nullable=True),
    Column("attempts", Integer, nullable=False, server_default="0"),
    at("next_attempt_at", nullable=True),
    Column("last_error", Text),
    Index("ix_outbox_unpublished", "position", postgresql_where=text("published_at is null")),
    Index("ix_outbox_tenant", "tenant_id", "position"),
)
"""Facts that wait to be published. ``tenant_id`` is null only for facts of nobody's organization."""

inbox = Table(
    "inbox",
    _shared,
    Column("consumer", String(60), nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("tenant_id", Uuid),
    Column("type", String(100), nullable=False),
    Column("source", String(60), nullable=False),
    Column("envelope", JSONB, nullable=False),
    Column("status", String(10), nullable=False, server_default="pending"),  # pending | done | parked | dropped
    at("received_at"),
    at("next_attempt_at"),
    at("handled_at", nullable=True),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("reason", Text),
    PrimaryKeyConstraint("consumer", "source", "event_id"),
    Index("ix_inbox_due", "next_attempt_at", postgresql_where=text("status = 'pending'")),
    Index("ix_inbox_parked", "received_at", postgresql_where=text("status = 'parked'")),
    Index("ix_inbox_tenant", "tenant_id", "received_at"),
)
"""Facts of others, stored before they are acknowledged; handling, pauses and parking are states of the row."""

mails = Table(
    "mails",
    _shared,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Uuid),
    Column("key", String(200), nullable=False),
    Column("recipient", String(320), nullable=False),
    Column("subject", Text, nullable=False),
    Column("body_text", Text, nullable=False),
    Column("body_html", Text),
    Column("language", String(2), nullable=False),
    Column("attachment", String(200)),
    at("created_at"),
    at("next_attempt_at"),
    at("sent_at", nullable=True),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("last_error", Text),
    UniqueConstraint("tenant_id", "key", postgresql_nulls_not_distinct=True),
    Index("ix_mails_due", "next_attempt_at", postgresql_where=text("sent_at is null")),
    Index("ix_mails_texts", "sent_at", postgresql_where=text("body_text <> ''")),
)
"""Mails on their way; the row is the log afterwards."""

idempotency_keys = Table(
    "idempotency_keys",
    _shared,
    Column("scope_id", Uuid, nullable=False),
    Column("route", String(200), nullable=False),
    Column("key", String(200), nullable=False),
    Column("body_hash", String(64), nullable=False),
    Column("status", SmallInteger),
    Column("answer", JSONB),
    at("created_at"),
    PrimaryKeyConstraint("scope_id", "route", "key"),
)
"""What a creating POST answered to a key; ``scope_id`` is the tenant, or the person where there is no tenant yet."""

audit_log = Table(
    "audit_log",
    _shared,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Uuid),
    at("at"),
    Column("actor", String(100), nullable=False),
    Column("action", String(100), nullable=False),
    Column("target", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("details", JSONB, nullable=False),
    Column("correlation_id", String(100)),
    Column("address", String(45)),
    at("erased_at", nullable=True),
    Column("number", BigInteger),
    Column("content_hash", LargeBinary),
    Column("hash", LargeBinary),
    Index("ix_audit_log_tenant_at", "tenant_id", "at"),
    Index("ix_audit_log_unsealed", "at", "id", postgresql_where=text("number is null")),
    Index(
        "uq_audit_log_number",
        "tenant_id",
        "number",
        unique=True,
        postgresql_nulls_not_distinct=True,
        postgresql_where=text("number is not null"),
    ),
)
"""Who did what to what, from where. No row ever changes but twice: its seal is put on (``number`` in its tenant's
chain, ``content_hash``, ``hash``), and what it says of persons may be erased, of which the seal keeps the hash."""

erasures = Table(
    "erasures",
    _shared,
    Column("tenant_id", Uuid, primary_key=True),
    at("requested_at"),
    at("finished_at", nullable=True),
    Column("report", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
)
"""Deleted organizations whose rows are to go, and what went: rows by table, no content."""

leader_leases = Table(
    "leader_leases",
    _shared,
    Column("name", String(100), primary_key=True),
    Column("holder", String(100), nullable=False),
    at("held_until"),
)
"""Who leads: a lease by the database's clock, not a session lock, so PgBouncer is no obstacle."""

MECHANISMS = tuple(table.name for table in _shared.sorted_tables)


def metadata_for() -> MetaData:
    """Return new MetaData with copies of the mechanism tables, for a service's own tables to join."""
    metadata = MetaData(naming_convention=NAMING)
    for table in _shared.sorted_tables:
        table.to_metadata(metadata)
    return metadata


def tenant_id() -> Column[object]:
    """Return the column that row-level security is about; it leads every key of its table."""
    return Column("tenant_id", Uuid, nullable=False)
