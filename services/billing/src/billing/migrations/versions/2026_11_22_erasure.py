"""Let a deleted organization be erased."""

from alembic import op
from billing.persistence.erasure import PARTICULARS, PLAN
from common.persistence.rls import erasure_door

revision = "2026_11_22_erasure"
down_revision = "2026_11_22_proration"


def upgrade() -> None:
    later = {target.table for target in PARTICULARS}
    erasure_door(op, "billing", *(target for target in PLAN.targets if target.table not in later))
