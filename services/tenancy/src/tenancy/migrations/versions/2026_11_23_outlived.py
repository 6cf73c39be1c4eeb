"""Find refresh tokens and links that have expired, and let links be forgotten."""

from alembic import op

revision = "2026_11_23_outlived"
down_revision = "2026_11_22_single_sign_on"


def upgrade() -> None:
    # The first migration makes tables as the code knows them: a new database has the indexes already.
    for table in ("refresh_tokens", "one_time_links"):
        op.execute(f"create index if not exists ix_{table}_expires_at on {table} (expires_at)")
    op.execute("grant delete on one_time_links to tenancy_auth")
    op.execute("create policy tenancy_auth_delete on one_time_links for delete to tenancy_auth using (true)")
