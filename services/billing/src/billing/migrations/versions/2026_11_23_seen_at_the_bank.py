"""Keep with a transfer what was seen of it at the bank: its movement's number and value date."""

from alembic import op

revision = "2026_11_23_seen_at_the_bank"
down_revision = "2026_11_23_payment_prompts"

# The first migration makes tables as the code knows them: a new database has the columns already.
COLUMNS = """
alter table payments
  add column if not exists bank_reference varchar(100),
  add column if not exists value_on date
"""


def upgrade() -> None:
    op.execute(COLUMNS)
    op.execute("grant update (bank_reference, value_on) on payments to billing_app")
