"""Let a deleted organization be erased."""

from alembic import op
from backup_engine.persistence.erasure import PLAN
from common.persistence.rls import erasure_door

revision = "2026_11_22_erasure"
down_revision = "2026_11_22_audit_seal"


def upgrade() -> None:
    erasure_door(op, "backup_engine", *PLAN.targets)
