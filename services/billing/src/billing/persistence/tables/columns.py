"""Billing's metadata, and the columns that many of its tables have."""

from common.persistence.tables import at, metadata_for
from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, Index, Integer, LargeBinary, String, Table

metadata = metadata_for()


def minor(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


def currency(name: str = "currency", *, nullable: bool = False) -> Column[str]:
    return Column(name, String(3), nullable=nullable)


def to_order(column: str = "order_id") -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["tenant_id", column], ["orders.tenant_id", "orders.id"])


def to_payment() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["tenant_id", "payment_id"], ["payments.tenant_id", "payments.id"])


def counted_tries(name: str) -> Table:
    """Return a table of tries in the running window, by a hash of who tries or is tried (``domain.tries``)."""
    return Table(
        name,
        metadata,
        Column("subject", LargeBinary, primary_key=True),
        Column("tries", Integer, nullable=False),
        at("began_at"),
        Index(f"ix_{name}_began_at", "began_at"),
    )
