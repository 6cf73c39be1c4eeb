"""Keep what an accountant needs on an invoice: the customer's particulars, and how it was paid."""

from alembic import op

revision = "2026_11_22_particulars"
down_revision = "2026_11_22_calendar"


def upgrade() -> None:
    # The first migration makes tables as the code knows them: a new database has the columns already.
    for table in ("orders", "invoices"):
        for column in ("customer_address varchar(300)", "customer_rccm varchar(60)", "customer_niu varchar(60)"):
            op.execute(f"alter table {table} add column if not exists {column}")
    op.execute("alter table invoices add column if not exists settlement jsonb")
