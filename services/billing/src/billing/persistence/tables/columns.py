"""Billing's metadata, and the columns that many of its tables have."""

from common.persistence.tables import metadata_for
from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, String

metadata = metadata_for()


def minor(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


def currency(name: str = "currency", *, nullable: bool = False) -> Column[str]:
    return Column(name, String(3), nullable=nullable)


def to_order(column: str = "order_id") -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["tenant_id", column], ["orders.tenant_id", "orders.id"])


def to_payment() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["tenant_id", "payment_id"], ["payments.tenant_id", "payments.id"])
