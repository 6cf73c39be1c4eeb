"""What others say of our money: the bank's statements, the providers' lists."""

from common.persistence.tables import at
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    Uuid,
    text,
)

from billing.persistence.tables.columns import currency, metadata, minor

bank_statements = Table(
    "bank_statements",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("form", String(10), nullable=False),
    Column("imported_by", Uuid, nullable=False),
    at("imported_at"),
)

bank_statement_lines = Table(
    "bank_statement_lines",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("statement_id", Uuid, nullable=False),
    Column("fingerprint", String(64), nullable=False, unique=True),
    Column("booked_on", Date, nullable=False),
    minor("amount_minor"),
    currency(),
    Column("text", String(500), nullable=False),
    Column("counterparty", String(200), nullable=False),
    Column("bank_reference", String(100), nullable=False),
    Column("status", String(10), nullable=False),
    Column("organization_id", Uuid),
    Column("payment_id", Uuid),
    Column("payment_reference", String(60)),
    minor("due_minor", nullable=True),
    Column("proposed_by", Uuid),
    Column("decided_by", Uuid),
    Column("note", Text),
    at("decided_at", nullable=True),
    ForeignKeyConstraint(["statement_id"], ["bank_statements.id"]),
    Index("ix_bank_statement_lines_status", "status", "id"),
    Index(
        "uq_bank_statement_lines_payment",
        "payment_id",
        unique=True,
        postgresql_where=text("status in ('proposed', 'approved')"),
    ),
    CheckConstraint("amount_minor > 0", name="positive"),
)
"""What arrived on our account; whose it is, is proposed by the reference that it quotes and decided by a person."""

reconciliations = Table(
    "reconciliations",
    metadata,
    Column("provider", String(20), nullable=False),
    Column("day", Date, nullable=False),
    at("started_at"),
    at("finished_at", nullable=True),
    Column("checked", Integer, nullable=False),
    Column("differences", Integer, nullable=False),
    Column("is_listed", Boolean, nullable=False),
    PrimaryKeyConstraint("provider", "day"),
)

unmatched_movements = Table(
    "unmatched_movements",
    metadata,
    Column("provider", String(20), nullable=False),
    Column("reference", String(80), nullable=False),
    minor("amount_minor", nullable=True),
    currency(nullable=True),
    at("occurred_at"),
    Column("found_on", Date, nullable=False),
    at("closed_at", nullable=True),
    Column("closed_by", Uuid),
    Column("note", Text),
    PrimaryKeyConstraint("provider", "reference"),
)
"""What a provider lists and nothing of ours explains: a case without a tenant, for nobody knows whose it is."""
