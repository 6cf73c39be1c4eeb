"""First tables of backup-engine."""

from alembic import op
from backup_engine.persistence.tables import CHUNK_PARTITIONS, PARTITIONS, metadata
from common.persistence.rls import create, mechanism_tables, tenant_table

revision = "2026_11_22_first_tables"
down_revision = None
branch_labels = None
depends_on = None

SERVICE = "backup_engine"

READ = "select"
WRITE = "select,insert,update(*)"
WRITE_DELETE = "select,insert,update(*),delete"

TABLES: dict[str, tuple[str, dict[str, str]]] = {
    # table: verbs of the tenants' door, verbs of system roles
    "tenant_state": (WRITE, {"dispatcher": READ}),
    "sites": ("select,insert", {}),
    "vaults": (WRITE, {"dispatcher": READ}),
    "vault_keys": ("select,insert", {}),
    "esxi_servers": (WRITE_DELETE, {"reconciler": READ}),
    "virtual_machines": (WRITE_DELETE, {}),
    "virtual_disks": (WRITE_DELETE, {}),
    "datastores": (WRITE_DELETE, {}),
    "networks": (WRITE_DELETE, {}),
    "backup_configurations": (WRITE_DELETE, {}),
    "backup_configuration_vms": ("select,insert,delete", {}),
    "backup_jobs": ("select,insert", {}),
    "tasks": (
        WRITE,
        {
            "dispatcher": "select,update(status,ready_at,publish_at)",
            "runner": READ,
        },
    ),
    "snapshot_ledger": (WRITE, {"reconciler": READ}),
    "restore_points": (WRITE_DELETE, {}),
    "point_disks": ("select,insert,delete", {}),
    "chunks": (WRITE_DELETE, {}),
    "quota_counters": (WRITE, {"dispatcher": READ}),
}


def upgrade() -> None:
    mechanism_tables(op, SERVICE)
    for table, (app, system) in TABLES.items():
        create(op, metadata, table)
        tenant_table(op, table, service=SERVICE, app=app, system=system)
    for remainder, partition in enumerate(PARTITIONS):
        op.execute(
            f"create table {partition} partition of chunks"
            f" for values with (modulus {CHUNK_PARTITIONS}, remainder {remainder})"
        )
        # Nobody is granted a partition; forced all the same, so that a later grant opens nothing.
        op.execute(f"alter table {partition} enable row level security, force row level security")


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
