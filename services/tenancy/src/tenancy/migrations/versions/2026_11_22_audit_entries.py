"""The view of what was done in an organization, in every service."""

from alembic import op
from common.persistence.rls import create, tenant_table
from tenancy.persistence.tables import metadata

revision = "2026_11_22_audit_entries"
down_revision = "2026_11_22_audit_seal"


def upgrade() -> None:
    create(op, metadata, "audit_entries")
    tenant_table(op, "audit_entries", service="tenancy", app="select,insert")
