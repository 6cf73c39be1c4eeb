"""Our bank's statements and their lines."""

from alembic import op
from billing.persistence.tables import metadata
from common.persistence.rls import create, shared_table

revision = "2026_11_22_bank_statements"
down_revision = "2026_11_22_usage_figures"


def upgrade() -> None:
    create(op, metadata, "bank_statements", "bank_statement_lines")
    shared_table(op, "bank_statements", service="billing", system={"staff": "select,insert"})
    shared_table(
        op,
        "bank_statement_lines",
        service="billing",
        system={
            "staff": "select,insert,update(status,organization_id,payment_id,payment_reference,due_minor,proposed_by,"
            "decided_by,note,decided_at)"
        },
    )
    # The first migration makes tables as the code knows them: a new database has the index already.
    op.execute("create index if not exists ix_payments_submitted on payments (reference) where status = 'submitted'")
