"""Passkeys and the challenges that they sign."""

from alembic import op
from common.persistence.rls import create, person_table, shared_table
from tenancy.persistence.tables import metadata

revision = "2026_11_22_passkeys"
down_revision = "2026_11_22_settings"


def upgrade() -> None:
    create(op, metadata, "passkeys", "passkey_challenges")
    person_table(
        op,
        "passkeys",
        service="tenancy",
        user=None,
        system={"auth": "select,insert,update(sign_count,name,last_used_at),delete"},
    )
    shared_table(op, "passkey_challenges", service="tenancy", system={"auth": "select,insert,delete"})
