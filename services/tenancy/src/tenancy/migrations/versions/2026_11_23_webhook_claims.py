"""Count what is on its way to an endpoint without reading all that waits for it."""

from alembic import op

revision = "2026_11_23_webhook_claims"
down_revision = "2026_11_23_webhooks"


def upgrade() -> None:
    # The migration before makes the table as the code knows it: a new database has the index already.
    op.execute(
        "create index if not exists ix_webhook_deliveries_claimed"
        " on webhook_deliveries (tenant_id, endpoint_id, claimed_until) where claimed_until is not null"
    )
