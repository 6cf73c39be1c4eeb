"""Keep who an organization is on its invoices by its settings, for what its orders leave empty."""

from alembic import op
from billing.persistence.erasure import PARTICULARS
from billing.persistence.tables import metadata
from common.persistence.rls import create, let_erase, tenant_table

revision = "2026_11_23_settings_of_customers"
down_revision = "2026_11_23_mail_texts"


def upgrade() -> None:
    create(op, metadata, "organization_particulars")
    tenant_table(
        op,
        "organization_particulars",
        service="billing",
        app="select,insert,update(name,email,phone,address,rccm,niu,version,stated_at)",
    )
    let_erase(op, "billing", *PARTICULARS)
