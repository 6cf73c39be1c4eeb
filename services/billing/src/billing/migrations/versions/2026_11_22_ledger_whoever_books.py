"""Let the ledger's check see the entry's own rows, whatever tenant its transaction has moved on to by then."""

from alembic import op

revision = "2026_11_22_ledger_whoever_books"
down_revision = "2026_11_22_trace_of_payments"

# The check runs at commit, as whoever booked and under row-level security. A transaction whose tenant is another (or
# none) by then would see no rows, and nothing unbalanced among them: hence the entry's own tenant while it looks.
BALANCED = """
create or replace function ledger_balanced() returns trigger language plpgsql
set search_path = pg_catalog, public as
$$ declare
  moved_on_to text := coalesce(current_setting('app.tenant_id', true), '');
  seen bigint;
  unbalanced boolean;
begin
  perform set_config('app.tenant_id', new.tenant_id::text, true);
  select count(*) into seen from public.ledger_postings
    where tenant_id = new.tenant_id and entry_id = new.entry_id;
  select exists (select 1 from public.ledger_postings where tenant_id = new.tenant_id and entry_id = new.entry_id
                 group by currency having sum(amount_minor) <> 0) into unbalanced;
  perform set_config('app.tenant_id', moved_on_to, true);
  if unbalanced or seen = 0 then
    raise exception 'ledger entry % does not balance', new.entry_id using errcode = 'integrity_constraint_violation';
  end if;
  return null;
end $$
"""


def upgrade() -> None:
    op.execute(BALANCED)
