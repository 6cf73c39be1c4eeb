"""Keys that sign access tokens, made by command."""

from alembic import op
from common.persistence.rls import create, shared_table
from tenancy.persistence.tables import metadata

revision = "2026_11_22_signing_keys"
down_revision = "2026_11_22_passkeys"


def upgrade() -> None:
    create(op, metadata, "signing_keys")
    shared_table(op, "signing_keys", service="tenancy", system={"auth": "select,insert,delete"})
