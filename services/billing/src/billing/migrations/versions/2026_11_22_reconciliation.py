"""The daily comparison with the providers: which days are done, and movements that no payment of ours explains."""

from alembic import op
from billing.persistence.tables import metadata
from common.persistence.rls import create, shared_table

revision = "2026_11_22_reconciliation"
down_revision = "2026_11_22_plan_versions"


def upgrade() -> None:
    create(op, metadata, "reconciliations", "unmatched_movements")
    shared_table(
        op,
        "reconciliations",
        service="billing",
        system={
            "janitor": "select,insert,update(started_at,finished_at,checked,differences,is_listed)",
            "staff": "select",
        },
    )
    shared_table(
        op,
        "unmatched_movements",
        service="billing",
        system={"janitor": "select,insert", "staff": "select,update(closed_at,closed_by,note)"},
    )
    op.execute("grant select (payment_id, completed_at, refund_reference) on refunds to billing_janitor")
