"""What finance reads of every organization, and an audit log that nobody changes, not even the owner."""

from alembic import op

revision = "2026_11_22_back_office"
down_revision = "2026_11_22_reconciliation"

READ = ("invoices", "invoice_lines", "subscriptions", "subscription_periods", "ledger_entries", "ledger_postings")


def upgrade() -> None:
    for table in READ:
        op.execute(f"grant select on {table} to billing_staff")
        op.execute(f"create policy billing_staff_select on {table} for select to billing_staff using (true)")
    op.execute(
        "create trigger audit_log_immutable before update or delete on audit_log"
        " for each row execute function refuse_change()"
    )
