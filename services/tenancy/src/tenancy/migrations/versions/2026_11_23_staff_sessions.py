"""Let an impersonation end with the session in which it began."""

from alembic import op

revision = "2026_11_23_staff_sessions"
down_revision = "2026_11_23_platform_audit"


def upgrade() -> None:
    # The migration before makes the table as the code knows it: a new database has column and index already.
    op.execute("alter table impersonations add column if not exists staff_session_id uuid")
    op.execute(
        "create index if not exists ix_impersonations_staff on impersonations (staff_user_id) where ended_at is null"
    )
    op.execute("grant select, update (ended_at, ended_by) on impersonations to tenancy_auth")
    for verb in ("select", "update"):
        op.execute(f"create policy tenancy_auth_{verb} on impersonations for {verb} to tenancy_auth using (true)")
