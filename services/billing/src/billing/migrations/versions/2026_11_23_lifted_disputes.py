"""Let finance lift what a lost dispute holds; those of subscriptions that have ended hold nothing any more."""

from alembic import op

revision = "2026_11_23_lifted_disputes"
down_revision = "2026_11_23_coupon_tries"

ENDED = """
update disputes d
   set lifted_at = s.status_since
  from subscriptions s
 where s.tenant_id = d.tenant_id and s.status = 'ended' and d.status = 'lost' and d.lifted_at is null
"""


def upgrade() -> None:
    op.execute(
        "alter table disputes add column if not exists lifted_at timestamptz, add column if not exists lifted_by uuid"
    )
    op.execute("grant update (lifted_at, lifted_by) on disputes to billing_app")
    # The owner of the tables is held by their policies like everybody; for this one statement he is not.
    for table in ("disputes", "subscriptions"):
        op.execute(f"alter table {table} no force row level security")
    op.execute(ENDED)
    for table in ("disputes", "subscriptions"):
        op.execute(f"alter table {table} force row level security")
