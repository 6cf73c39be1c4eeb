"""Remember who was of the staff, so that he can be hired again."""

from alembic import op

revision = "2026_11_23_dismissed"
down_revision = "2026_11_23_mail_texts"


def upgrade() -> None:
    # The first migration makes the table as the code knows it: a new database has the column already.
    op.execute("alter table users add column if not exists staff_dismissed_at timestamptz")
    op.execute("grant update (staff_dismissed_at) on users to tenancy_auth")
