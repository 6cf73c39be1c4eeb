"""Disputes and reversals: money that payers or providers take back."""

from alembic import op
from billing.persistence.tables import metadata
from common.persistence.rls import create, tenant_table

revision = "2026_11_22_disputes"
down_revision = "2026_11_22_bank_statements"


def upgrade() -> None:
    create(op, metadata, "disputes")
    tenant_table(
        op,
        "disputes",
        service="billing",
        app="select,insert,update(status,resolved_at,next_poll_at)",
        system={
            "janitor": "select(tenant_id,id,payment_id,reference,next_poll_at),update(next_poll_at)",
            "staff": "select",
        },
    )
