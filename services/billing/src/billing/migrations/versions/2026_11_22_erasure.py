"""Let a deleted organization be erased."""

from alembic import op
from billing.persistence.erasure import PLAN
from common.persistence.rls import erasure_door

revision = "2026_11_22_erasure"
down_revision = "2026_11_22_proration"


def upgrade() -> None:
    erasure_door(op, "billing", *PLAN.targets)
