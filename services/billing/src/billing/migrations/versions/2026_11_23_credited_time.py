"""Keep with a replaced period which change did that, and what of its order's money that gave back."""

from alembic import op

revision = "2026_11_23_credited_time"
down_revision = "2026_11_22_coupon_switch"

# The first migration makes tables as the code knows them: a new database has the columns already.
COLUMNS = """
alter table subscription_periods
  add column if not exists replaced_by uuid,
  add column if not exists credited_minor bigint not null default 0
"""

# Changes that were paid before this was kept: their spans name the periods that they cut short.
KNOWN = """
update subscription_periods p
   set replaced_by = c.id,
       credited_minor = round((one->>'credit_minor')::numeric * greatest(o.total_minor - o.refunded_minor, 0)
                              / greatest((one->>'cost_minor')::numeric, 1))
  from orders o, orders c, jsonb_array_elements(c.proration->'unused') one
 where o.tenant_id = p.tenant_id and o.id = p.order_id
   and c.tenant_id = p.tenant_id and c.kind = 'change' and c.status in ('completed', 'refunded')
   and (one->>'starts_at')::timestamptz = p.starts_at and (one->>'ends_at')::timestamptz = p.ends_at
   and p.replaced_at is not null and p.replaced_by is null
"""


def upgrade() -> None:
    op.execute(COLUMNS)
    op.execute("alter table subscription_periods drop constraint if exists ck_subscription_periods_credited")
    op.execute(
        "alter table subscription_periods add constraint ck_subscription_periods_credited check (credited_minor >= 0)"
    )
    op.execute("grant update (replaced_by, credited_minor) on subscription_periods to billing_app")
    # The owner of the tables is held by their policies like everybody; for this one statement he is not.
    for table in ("subscription_periods", "orders"):
        op.execute(f"alter table {table} no force row level security")
    op.execute(KNOWN)
    for table in ("subscription_periods", "orders"):
        op.execute(f"alter table {table} force row level security")
