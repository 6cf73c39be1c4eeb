"""Keep what other services did for the platform: the inbox writes it down, staff reads it, no organization sees it."""

from alembic import op
from common.persistence.rls import create, shared_table
from tenancy.persistence.tables import metadata

revision = "2026_11_23_platform_acts"
down_revision = "2026_11_23_dismissed"


def upgrade() -> None:
    create(op, metadata, "platform_audit_entries")
    shared_table(op, "platform_audit_entries", service="tenancy", system={"inbox": "insert", "staff": "select"})
