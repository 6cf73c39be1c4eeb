"""One tenant table, one that refers to it, one of persons."""

from common.persistence.tables import metadata_for, tenant_id
from sqlalchemy import Column, ForeignKeyConstraint, Integer, PrimaryKeyConstraint, String, Table, Uuid

metadata = metadata_for()

rooms = Table(
    "rooms",
    metadata,
    tenant_id(),
    Column("id", Uuid, nullable=False),
    Column("user_id", Uuid),
    Column("name", String(50), nullable=False),
    Column("beds", Integer, nullable=False, server_default="1"),
    Column("version", Integer, nullable=False, server_default="1"),
    PrimaryKeyConstraint("tenant_id", "id"),
)
bookings = Table(
    "bookings",
    metadata,
    tenant_id(),
    Column("id", Uuid, nullable=False),
    Column("room_id", Uuid, nullable=False),
    Column("note", String(50)),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id", "room_id"], ["rooms.tenant_id", "rooms.id"]),
)
guests = Table("guests", metadata, Column("id", Uuid, primary_key=True), Column("name", String(50), nullable=False))
