"""Let finance switch a coupon off and on again."""

from alembic import op

revision = "2026_11_22_coupon_switch"
down_revision = "2026_11_22_erasure"


def upgrade() -> None:
    op.execute("alter table coupons add column if not exists is_active boolean not null default true")
    op.execute("grant update (is_active) on coupons to billing_staff")
