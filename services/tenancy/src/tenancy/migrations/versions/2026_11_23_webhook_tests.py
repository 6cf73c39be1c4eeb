"""Count the test messages to an endpoint without reading all that was ever sent there."""

from alembic import op

revision = "2026_11_23_webhook_tests"
down_revision = "2026_11_23_retention"


def upgrade() -> None:
    # An earlier migration makes the table as the code knows it: a new database has the index already.
    op.execute(
        "create index if not exists ix_webhook_deliveries_tests on webhook_deliveries"
        " (tenant_id, endpoint_id, created_at) where event_type = 'webhook.test.v1'"
    )
