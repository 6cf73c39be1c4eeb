"""Keep what an organization uses, so that a smaller plan is not taken blindly."""

from alembic import op
from billing.persistence.tables import metadata
from common.persistence.rls import create, tenant_table

revision = "2026_11_22_usage_figures"
down_revision = "2026_11_22_refunds"


def upgrade() -> None:
    create(op, metadata, "usage_figures")
    tenant_table(op, "usage_figures", service="billing", app="select,insert,update(figures)")
