"""Keep with a change how its credit came about, and let credit notes be for money that stays as credit."""

from alembic import op

revision = "2026_11_22_proration"
down_revision = "2026_11_22_audit_seal"


def upgrade() -> None:
    op.execute("alter table orders add column if not exists proration jsonb")
    op.execute("alter table credit_notes alter column refund_id drop not null")
