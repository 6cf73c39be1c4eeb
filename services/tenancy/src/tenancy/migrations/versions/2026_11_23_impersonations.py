"""Remember when somebody of the staff acts in the name of an organization's owner."""

from alembic import op
from common.persistence.rls import create, let_erase, tenant_table
from tenancy.persistence.erasure import IMPERSONATIONS
from tenancy.persistence.tables import metadata

revision = "2026_11_23_impersonations"
down_revision = "2026_11_23_webhook_claims"


def upgrade() -> None:
    create(op, metadata, "impersonations")
    tenant_table(
        op,
        "impersonations",
        service="tenancy",
        app="select,insert,update(ended_at,ended_by)",
        system={"janitor": "select(tenant_id,id,expires_at,ended_at)"},
    )
    let_erase(op, "tenancy", *IMPERSONATIONS)
