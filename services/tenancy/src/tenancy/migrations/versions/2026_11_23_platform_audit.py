"""Let staff read the audit rows that belong to no organization; those of organizations stay behind their own door."""

from alembic import op

revision = "2026_11_23_platform_audit"
down_revision = "2026_11_23_impersonations"


def upgrade() -> None:
    op.execute("grant select on audit_log to tenancy_staff")
    op.execute("create policy tenancy_staff_select on audit_log for select to tenancy_staff using (tenant_id is null)")
