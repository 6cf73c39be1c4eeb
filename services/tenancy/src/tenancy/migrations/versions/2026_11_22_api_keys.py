"""Keys with which programs act for an organization."""

from alembic import op
from common.persistence.rls import create, tenant_table
from tenancy.persistence.tables import metadata

revision = "2026_11_22_api_keys"
down_revision = "2026_11_22_audit_entries"


def upgrade() -> None:
    create(op, metadata, "api_keys")
    tenant_table(
        op,
        "api_keys",
        service="tenancy",
        app="select,insert,update(name,scopes,allowed_networks,last_used_at,revoked_at)",
        # Whose a key is, only the key tells.
        system={"auth": "select(tenant_id,key_hmac)"},
    )
