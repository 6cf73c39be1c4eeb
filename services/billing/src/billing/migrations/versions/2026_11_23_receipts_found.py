"""Find receipts by their payment, and those that are the very same file."""

from alembic import op

revision = "2026_11_23_receipts_found"
down_revision = "2026_11_23_currency"


def upgrade() -> None:
    op.execute("create index if not exists ix_receipts_sha256 on receipts (sha256)")
    op.execute("create index if not exists ix_receipts_payment on receipts (payment_id)")
