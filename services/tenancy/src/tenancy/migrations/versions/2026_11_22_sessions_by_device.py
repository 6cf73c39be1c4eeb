"""Let a session say from where it is used, and only those end one who tell the gateway about it."""

from alembic import op

revision = "2026_11_22_sessions_by_device"
down_revision = "2026_11_22_mail_attachments"


def upgrade() -> None:
    # The first migration makes tables as the code knows them: a new database has the columns already.
    for column in (
        "user_agent varchar(300) not null default ''",
        "address varchar(45) not null default ''",
        "last_used_at timestamptz",
        "second_factor_at timestamptz",
    ):
        op.execute(f"alter table sessions add column if not exists {column}")
    op.execute("revoke update (revoked_at, revoked_for) on sessions from tenancy_user")
    op.execute("grant update (user_agent, address, last_used_at, second_factor_at) on sessions to tenancy_auth")
    op.execute("grant delete on refresh_tokens to tenancy_auth")
    op.execute("create policy tenancy_auth_delete on refresh_tokens for delete to tenancy_auth using (true)")
