"""Everything that billing begins with."""

from alembic import op
from billing.persistence.tables import metadata
from common.persistence.rls import create, mechanism_tables, shared_table, tenant_table

revision = "2026_11_22_first"
down_revision = None

SERVICE = "billing"

TABLES = (
    "plans",
    "plan_prices",
    "payment_methods",
    "coupons",
    "coupon_uses",
    "orders",
    "payments",
    "payment_allocations",
    "receipts",
    "coupon_redemptions",
    "subscriptions",
    "subscription_periods",
    "invoice_counters",
    "invoices",
    "invoice_lines",
    "ledger_entries",
    "ledger_postings",
    "cases",
    "organizations",
    "webhook_events",
    "provider_budgets",
)

ORDER_MOVES = "update(status,payment_status,allocated_minor,effective_at,updated_at)"
PAYMENT_MOVES = (
    "update(status,settled_minor,settled_currency,provider_reference,receipt_reference,capture_request_id,captures,"
    "redirect_url,reason_code,approved_by,note,polls,next_poll_at,last_poll_at,updated_at,completed_at)"
)

IMMUTABLE = """
create function refuse_change() returns trigger language plpgsql set search_path = pg_catalog as
$$ begin raise exception '% rows never change', tg_table_name using errcode = 'integrity_constraint_violation'; end $$
"""

BALANCED = """
create function ledger_balanced() returns trigger language plpgsql set search_path = pg_catalog, public as
$$ begin
  if exists (select 1 from public.ledger_postings where tenant_id = new.tenant_id and entry_id = new.entry_id
             group by currency having sum(amount_minor) <> 0) then
    raise exception 'ledger entry % does not balance', new.entry_id using errcode = 'integrity_constraint_violation';
  end if;
  return null;
end $$
"""


def _catalogue() -> None:
    for table in ("plans", "plan_prices", "payment_methods"):
        shared_table(
            op,
            table,
            service=SERVICE,
            app="select",
            user="select",
            system={"catalogue": "select", "seed": "select,insert,update(*)"},
        )
    shared_table(
        op,
        "coupons",
        service=SERVICE,
        app="select,update(redemptions)",
        user="select",
        system={"staff": "select,insert"},
    )
    shared_table(op, "coupon_uses", service=SERVICE, app="select,insert,update(uses)", user="select")
    shared_table(op, "invoice_counters", service=SERVICE, app="select,insert,update(last_sequence)")
    shared_table(
        op,
        "webhook_events",
        service=SERVICE,
        system={"webhook": "select,insert,update(handled_at,next_attempt_at,attempts,outcome)"},
    )
    shared_table(
        op,
        "provider_budgets",
        service=SERVICE,
        system={"janitor": "select,insert,update(millitokens,refilled_at)"},
    )


def _buying() -> None:
    tenant_table(
        op,
        "orders",
        service=SERVICE,
        app=f"select,insert,{ORDER_MOVES}",
        user="select",
        system={"staff": "select", "janitor": "select(tenant_id,id,status,effective_at)"},
    )
    tenant_table(
        op,
        "payments",
        service=SERVICE,
        app=f"select,insert,{PAYMENT_MOVES}",
        user="select",
        system={
            "janitor": "select,update(next_poll_at,last_poll_at,polls)",
            "webhook": "select(tenant_id,id,method,status,provider_reference,receipt_reference,callback_token,"
            "next_poll_at,last_poll_at),update(next_poll_at)",
            "staff": "select",
        },
    )
    tenant_table(op, "payment_allocations", service=SERVICE, app="select,insert")
    tenant_table(op, "receipts", service=SERVICE, app="select,insert", system={"staff": "select"})
    tenant_table(op, "coupon_redemptions", service=SERVICE, app="select,insert,update(released)")
    tenant_table(
        op,
        "organizations",
        service=SERVICE,
        app="select,insert,update(owner_id,document,version,updated_at)",
        user="select",
        user_column="owner_id",
    )


def _selling() -> None:
    tenant_table(
        op,
        "subscriptions",
        service=SERVICE,
        app="select,insert,update(plan,billing_cycle,status,anchor_day,ends_at,version)",
    )
    tenant_table(op, "subscription_periods", service=SERVICE, app="select,insert,update(replaced_at)")
    for table in ("invoices", "invoice_lines", "ledger_entries", "ledger_postings"):
        tenant_table(op, table, service=SERVICE, app="select,insert")
        op.execute(
            f"create trigger {table}_immutable before update or delete on {table}"
            " for each row execute function refuse_change()"
        )
    op.execute(
        "create constraint trigger ledger_balanced after insert on ledger_postings deferrable initially deferred"
        " for each row execute function ledger_balanced()"
    )
    tenant_table(
        op,
        "cases",
        service=SERVICE,
        app="select,insert,update(details,closed_at)",
        system={"staff": "select"},
    )


def upgrade() -> None:
    mechanism_tables(op, SERVICE, system=("staff",))
    create(op, metadata, *TABLES)
    op.execute(IMMUTABLE)
    op.execute(BALANCED)
    _catalogue()
    _buying()
    _selling()
