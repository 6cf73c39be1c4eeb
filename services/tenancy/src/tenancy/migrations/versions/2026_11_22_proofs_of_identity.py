"""Changes of address, recovery codes, and counts of tries."""

from alembic import op
from common.persistence.rls import create, person_table, shared_table
from tenancy.persistence.tables import metadata

revision = "2026_11_22_proofs_of_identity"
down_revision = "2026_11_22_api_keys"


def upgrade() -> None:
    # The first migration makes tables as the code knows them: a new database has the columns already.
    op.execute("alter table one_time_links add column if not exists about_id uuid")
    op.execute("alter table credentials add column if not exists totp_pending bytea")
    op.execute("alter table credentials add column if not exists password_set_at timestamptz")
    op.execute("create index if not exists ix_sessions_address on sessions (user_id, address)")
    create(op, metadata, "email_changes", "recovery_codes", "attempts")
    op.execute("grant update (totp_pending, password_set_at) on credentials to tenancy_auth")
    op.execute("grant update (email, language, full_name) on users to tenancy_auth")
    person_table(
        op,
        "email_changes",
        service="tenancy",
        user=None,
        system={"auth": "select,insert,update(change_id,new_email,requested_at,left_at,taken_at)"},
    )
    person_table(
        op, "recovery_codes", service="tenancy", user=None, system={"auth": "select,insert,update(used_at),delete"}
    )
    shared_table(op, "attempts", service="tenancy", system={"auth": "select,insert,update(tries,began_at),delete"})
