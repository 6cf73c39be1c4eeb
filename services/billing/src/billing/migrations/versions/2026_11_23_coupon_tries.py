"""Count coupon codes that are wrong, per account and per address."""

from alembic import op
from billing.persistence.tables import metadata
from common.persistence.rls import create, shared_table

revision = "2026_11_23_coupon_tries"
down_revision = "2026_11_23_receipts_found"


def upgrade() -> None:
    create(op, metadata, "coupon_tries")
    shared_table(op, "coupon_tries", service="billing", user="select,insert,update(tries,began_at),delete")
