"""Keep with an attempt where the customer's request was, so that what follows is found by the same ids."""

from alembic import op

revision = "2026_11_22_trace_of_payments"
down_revision = "2026_11_22_first"


def upgrade() -> None:
    # The first migration makes tables as the code knows them: a new database has the column already.
    op.execute("alter table payments add column if not exists trace jsonb")
