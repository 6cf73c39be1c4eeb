"""Keep in which currency a subscription is paid; until now all of them are in XAF."""

from alembic import op

revision = "2026_11_23_currency"
down_revision = "2026_11_23_credited_time"


def upgrade() -> None:
    # The default also serves the previous version, which sells in XAF only and names no currency.
    op.execute("alter table subscriptions add column if not exists currency varchar(3) not null default 'XAF'")
    op.execute("grant update (currency) on subscriptions to billing_app")
