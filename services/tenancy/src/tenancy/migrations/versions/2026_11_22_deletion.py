"""When an organization is to be deleted, and the role that looks for what is due."""

from alembic import op

revision = "2026_11_22_deletion"
down_revision = "2026_11_22_erasure"


def upgrade() -> None:
    op.execute("alter table organizations add column if not exists deletion_due_at timestamptz")
    op.execute(
        "create index if not exists ix_organizations_deletion_due on organizations (deletion_due_at)"
        " where deletion_due_at is not null"
    )
    op.execute("grant update (deletion_due_at) on organizations to tenancy_app")
    op.execute("grant select (tenant_id, status, deletion_due_at) on organizations to tenancy_janitor")
    op.execute("create policy tenancy_janitor_select on organizations for select to tenancy_janitor using (true)")
    op.execute("alter table organizations drop constraint ck_organizations_status")
    op.execute(
        "alter table organizations add constraint ck_organizations_status"
        " check (status in ('pending','active','suspended','cancelled','expired','deleted'))"
    )
