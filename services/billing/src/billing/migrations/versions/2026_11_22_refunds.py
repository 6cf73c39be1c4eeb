"""Money that goes back: refunds, credit notes, what an order gave back; cases about each of several refunds."""

from alembic import op
from billing.persistence.tables import metadata
from common.persistence.rls import create, tenant_table

revision = "2026_11_22_refunds"
down_revision = "2026_11_22_particulars"

SERVICE = "billing"

# The first migration makes tables as the code knows them: a new database has these columns already.
COLUMNS = """
alter table orders add column if not exists refunded_minor bigint not null default 0;
alter table orders drop constraint if exists ck_orders_refunded;
alter table orders add constraint ck_orders_refunded check (refunded_minor between 0 and allocated_minor);
alter table cases add column if not exists reference varchar(80) not null default '';
alter table cases add column if not exists closed_by uuid;
alter table cases add column if not exists note text;
alter table cases drop constraint if exists uq_cases_tenant_id_kind_payment_id;
alter table cases drop constraint if exists uq_cases_tenant_id_kind_payment_id_reference;
alter table cases add constraint uq_cases_tenant_id_kind_payment_id_reference
  unique (tenant_id, kind, payment_id, reference)
"""

GRANTS = """
grant update (refunded_minor) on orders to billing_app;
grant update (starts_at, ends_at) on subscription_periods to billing_app;
grant update (closed_by, note) on cases to billing_app
"""


def upgrade() -> None:
    for statement in (COLUMNS + ";" + GRANTS).split(";"):
        op.execute(statement)
    create(op, metadata, "refunds", "credit_notes")
    tenant_table(
        op,
        "refunds",
        service=SERVICE,
        app="select,insert,update(status,refund_reference,reason_code,decided_by,"
        "next_poll_at,updated_at,sent_at,completed_at)",
        system={
            "janitor": "select(tenant_id,id,method,polls,next_poll_at),update(polls,next_poll_at)",
            "staff": "select",
        },
    )
    tenant_table(op, "credit_notes", service=SERVICE, app="select,insert", system={"staff": "select"})
    op.execute(
        "create trigger credit_notes_immutable before update or delete on credit_notes"
        " for each row execute function refuse_change()"
    )
