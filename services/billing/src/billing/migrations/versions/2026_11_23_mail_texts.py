"""Let the mailer forget the texts of mails that were sent long ago."""

from alembic import op
from common.persistence.rls import mail_texts

revision = "2026_11_23_mail_texts"
down_revision = "2026_11_23_numbers_given"


def upgrade() -> None:
    mail_texts(op, "billing")
