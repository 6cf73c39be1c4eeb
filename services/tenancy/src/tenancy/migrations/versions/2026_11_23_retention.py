"""Let sessions and invitations be forgotten that ended long ago."""

from alembic import op

revision = "2026_11_23_retention"
down_revision = "2026_11_23_staff_sessions"


def upgrade() -> None:
    for table in ("sessions", "invitations"):
        # The first migration makes tables as the code knows them: a new database has the index already.
        op.execute(f"create index if not exists ix_{table}_expires_at on {table} (expires_at)")
        op.execute(f"grant delete on {table} to tenancy_auth")
        op.execute(f"create policy tenancy_auth_delete on {table} for delete to tenancy_auth using (true)")
