"""Delete an endpoint at once and its deliveries by and by: the courier takes what is marked, and nothing else."""

from alembic import op

revision = "2026_11_23_webhooks_deleted"
down_revision = "2026_11_23_platform_acts"

NOT_ON = "ck_webhook_endpoints_deleted"


def upgrade() -> None:
    # An earlier migration makes the table as the code knows it: a new database has all of this already.
    op.execute("alter table webhook_endpoints add column if not exists deleted_at timestamptz")
    op.execute(f"alter table webhook_endpoints drop constraint if exists {NOT_ON}")
    op.execute(f"alter table webhook_endpoints add constraint {NOT_ON} check (deleted_at is null or not enabled)")
    op.execute(
        "create index if not exists ix_webhook_endpoints_deleted"
        " on webhook_endpoints (deleted_at) where deleted_at is not null"
    )
    op.execute("grant update (deleted_at) on webhook_endpoints to tenancy_app")
    op.execute("grant select (deleted_at), delete on webhook_endpoints to tenancy_courier")
    op.execute(
        "create policy tenancy_courier_delete on webhook_endpoints for delete to tenancy_courier"
        " using (deleted_at is not null)"
    )
