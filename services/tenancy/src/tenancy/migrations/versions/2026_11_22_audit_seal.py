"""Let the audit log be sealed: columns of the seal, a door for the sealer, and no other change of a row."""

from alembic import op
from common.persistence.rls import audit_sealing

revision = "2026_11_22_audit_seal"
down_revision = "2026_11_22_sessions_by_device"


def upgrade() -> None:
    audit_sealing(op, "tenancy")
