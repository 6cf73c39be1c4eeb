"""Let a mail name the document that goes along with it."""

from alembic import op

revision = "2026_11_22_mail_attachments"
down_revision = "2026_11_22_ledger_whoever_books"


def upgrade() -> None:
    # The first migration makes tables as the code knows them: a new database has the column already.
    op.execute("alter table mails add column if not exists attachment varchar(200)")
