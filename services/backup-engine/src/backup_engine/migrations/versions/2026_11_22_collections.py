"""Garbage collection: its cycles, what they walked, and pins of points that are read without a task."""

from alembic import op
from backup_engine.persistence.tables import metadata
from common.persistence.rls import create, tenant_table
from sqlalchemy import text

revision = "2026_11_22_collections"
down_revision = "2026_11_22_first_tables"
branch_labels = None
depends_on = None

SERVICE = "backup_engine"
COLLECTOR = f"{SERVICE}_collector"

TABLES: dict[str, tuple[str, dict[str, str]]] = {
    # table: verbs of the tenants' door, verbs of system roles
    "collections": (
        "select,insert,update(*)",
        {"collector": "select(tenant_id,vault_id,phase,held_until,finished_at)"},
    ),
    "walked_nodes": ("select,insert,delete", {}),
    "point_pins": ("select,insert,update(held_until),delete", {}),
}


def upgrade() -> None:
    for table, (app, system) in TABLES.items():
        create(op, metadata, table)
        tenant_table(op, table, service=SERVICE, app=app, system=system)
    # The first migration makes it too where it runs with this version's tables.
    op.create_index(
        "ix_chunks_going",
        "chunks",
        ["tenant_id", "vault_id", "state"],
        postgresql_where=text("state <> 'live'"),
        if_not_exists=True,
    )
    op.execute(f"grant select (tenant_id, id, state, ready_at) on vaults to {COLLECTOR}")
    op.execute(f"create policy {COLLECTOR}_select on vaults for select to {COLLECTOR} using (true)")


def downgrade() -> None:
    op.execute(f"drop policy {COLLECTOR}_select on vaults")
    op.execute(f"revoke all on vaults from {COLLECTOR}")
    op.drop_index("ix_chunks_going", "chunks")
    for table in reversed(TABLES):
        op.drop_table(table)
