"""Let a movement at the bank that a person of finance names pay one transfer, in whatever organization."""

from alembic import op

revision = "2026_11_23_movements_by_hand"
down_revision = "2026_11_23_settings_of_customers"

# What was named twice before it was refused is told apart as it is from now on, by its part. The owner sees all rows
# only while row-level security is not forced on him; nobody else sees the table meanwhile.
PARTS = """
update payments as p set bank_reference = left(p.bank_reference, 90) || '/' || d.part
  from (
    select tenant_id, id, row_number() over (partition by bank_reference, value_on order by id) as part
      from payments where receipt_reference is null and bank_reference is not null and value_on is not null
  ) as d
  where p.tenant_id = d.tenant_id and p.id = d.id and d.part > 1
"""
INDEX = """
create unique index if not exists uq_payments_movement_by_hand on payments (bank_reference, value_on)
  where receipt_reference is null and bank_reference is not null
"""


def upgrade() -> None:
    op.execute("alter table payments no force row level security")
    op.execute(PARTS)
    op.execute("alter table payments force row level security")
    op.execute(INDEX)
