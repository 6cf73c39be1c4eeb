"""Let the worker raise a counter of numbers that is behind what the object store says was issued."""

from alembic import op

revision = "2026_11_23_numbers_given"
down_revision = "2026_11_23_seen_at_the_bank"


def upgrade() -> None:
    op.execute("grant select, insert, update (last_sequence) on invoice_counters to billing_janitor")
