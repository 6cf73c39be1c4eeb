"""Let counters be compared with what they count, one organization after the other."""

from alembic import op

revision = "2026_11_23_usage_reconciled"
down_revision = "2026_11_22_erasure"
branch_labels = None
depends_on = None

RECONCILER = "backup_engine_reconciler"


def upgrade() -> None:
    # The first migration makes tables as the code knows them: a new database has the column already.
    op.execute("alter table tenant_state add column if not exists usage_reconciled_at timestamptz")
    op.execute(f"grant select (tenant_id, status, usage_reconciled_at) on tenant_state to {RECONCILER}")
    op.execute(f"create policy {RECONCILER}_select on tenant_state for select to {RECONCILER} using (true)")


def downgrade() -> None:
    op.execute(f"drop policy {RECONCILER}_select on tenant_state")
    op.execute(f"revoke all on tenant_state from {RECONCILER}")
    op.drop_column("tenant_state", "usage_reconciled_at")
