"""What the calendar of subscriptions and orders needs: how they stand, what was told, and when to look again."""

from alembic import op

revision = "2026_11_22_calendar"
down_revision = "2026_11_22_mail_attachments"

JANITOR = "billing_janitor"

# The first migration makes tables as the code knows them: a new database has the columns already. Their defaults fill
# what exists: each subscription is looked at once, and each order keeps two weeks from now.
COLUMNS = """
alter table subscriptions
  add column if not exists status_since timestamptz not null default now(),
  add column if not exists reason varchar(20),
  add column if not exists cancel_at_period_end boolean not null default false,
  add column if not exists auto_renew boolean not null default false,
  add column if not exists auto_renew_phone varchar(40),
  add column if not exists charged_for timestamptz,
  add column if not exists told_days smallint,
  add column if not exists stepped_at timestamptz not null default now(),
  add column if not exists next_step_at timestamptz default now();
create index if not exists ix_subscriptions_due on subscriptions (next_step_at) where next_step_at is not null;
alter table orders add column if not exists expires_at timestamptz default now() + interval '14 days';
alter table orders alter column expires_at drop default;
create index if not exists ix_orders_expiring on orders (expires_at) where expires_at is not null;
"""

RIGHTS = f"""
grant update (status_since, reason, cancel_at_period_end, auto_renew, auto_renew_phone, charged_for, told_days,
  stepped_at, next_step_at) on subscriptions to billing_app;
grant select (tenant_id, next_step_at), update (next_step_at) on subscriptions to {JANITOR};
create policy {JANITOR}_select on subscriptions for select to {JANITOR} using (true);
create policy {JANITOR}_update on subscriptions for update to {JANITOR} using (true) with check (true);
grant update (expires_at) on orders to billing_app;
grant select (expires_at), update (expires_at) on orders to {JANITOR};
create policy {JANITOR}_update on orders for update to {JANITOR} using (true) with check (true);
"""


def upgrade() -> None:
    for statement in (COLUMNS + RIGHTS).split(";"):
        if statement.strip():
            op.execute(statement)
