"""Organizations' identity providers, proven domains, and what they demand of sessions."""

from alembic import op
from common.persistence.rls import create, let_erase, person_table, tenant_table
from tenancy.persistence.erasure import SINGLE_SIGN_ON
from tenancy.persistence.tables import metadata

revision = "2026_11_22_single_sign_on"
down_revision = "2026_11_22_held"


def upgrade() -> None:
    # The first migration makes tables as the code knows them: a new database has the column already.
    op.execute("alter table sessions add column if not exists sso_tenant_id uuid")
    create(op, metadata, "sign_in_rules", "sso_connections", "sso_domains", "sso_states", "sso_identities")
    read = {"auth": "select"}
    tenant_table(
        op,
        "sign_in_rules",
        service="tenancy",
        app="select,insert,update(second_factor_required,sso_required)",
        system=read,
    )
    tenant_table(
        op,
        "sso_connections",
        service="tenancy",
        app="select,insert,update(issuer,client_id,secret_sealed),delete",
        system=read,
    )
    tenant_table(op, "sso_domains", service="tenancy", app="select,insert,update(verified_at),delete", system=read)
    tenant_table(op, "sso_states", service="tenancy", app="select,insert", system={"auth": "select,insert,delete"})
    let_erase(op, "tenancy", *SINGLE_SIGN_ON)
    person_table(op, "sso_identities", service="tenancy", user=None, system={"auth": "select,insert"})
