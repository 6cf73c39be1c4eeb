"""Webhooks to customers: endpoints, what is on its way to them, and what each try came to."""

from alembic import op
from common.persistence.rls import create, let_erase, tenant_table
from tenancy.persistence.erasure import WEBHOOKS
from tenancy.persistence.tables import metadata

revision = "2026_11_23_webhooks"
down_revision = "2026_11_23_outlived"

NOTIFY = """create function webhooks_notify() returns trigger language plpgsql set search_path = pg_catalog as
$$ begin perform pg_notify('webhooks', ''); return null; end $$"""
NOTIFIES = """create trigger webhooks_notify after insert on webhook_deliveries
for each statement execute function webhooks_notify()"""


def upgrade() -> None:
    create(op, metadata, "webhook_endpoints", "webhook_deliveries", "webhook_attempts")
    tenant_table(
        op,
        "webhook_endpoints",
        service="tenancy",
        app="select,insert,update(url,description,event_types,secret_sealed,former_sealed,former_until,enabled,off_for,"
        "failing_since),delete",
        # The courier sees which endpoint's turn it is, and neither address nor secret.
        system={"courier": "select(tenant_id,id,enabled,last_turn_at),update(last_turn_at)"},
    )
    tenant_table(
        op,
        "webhook_deliveries",
        service="tenancy",
        app="select,insert,update(state,attempts,tries,next_attempt_at,claimed_until,claim_id,finished_at,last_status,"
        "last_error),delete",
        system={
            "courier": "select(tenant_id,id,endpoint_id,state,next_attempt_at,claimed_until,claim_id,finished_at),"
            "update(claimed_until,claim_id),delete"
        },
    )
    tenant_table(
        op,
        "webhook_attempts",
        service="tenancy",
        app="select,insert,delete",
        system={"courier": "select(tenant_id,delivery_id,number,at),delete"},
    )
    let_erase(op, "tenancy", *WEBHOOKS)
    op.execute(NOTIFY)
    op.execute(NOTIFIES)
