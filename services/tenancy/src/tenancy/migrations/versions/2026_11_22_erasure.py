"""Let a deleted organization be erased."""

from alembic import op
from common.persistence.rls import erasure_door
from tenancy.persistence.erasure import PLAN, SINGLE_SIGN_ON

revision = "2026_11_22_erasure"
down_revision = "2026_11_22_signing_keys"


def upgrade() -> None:
    erasure_door(op, "tenancy", *(target for target in PLAN.targets if target not in SINGLE_SIGN_ON))
