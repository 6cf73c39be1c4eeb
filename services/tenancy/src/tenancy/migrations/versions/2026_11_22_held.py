"""Why the platform's staff holds an organization, which a payment does not end."""

from alembic import op

revision = "2026_11_22_held"
down_revision = "2026_11_22_deletion"


def upgrade() -> None:
    op.execute("alter table organizations add column if not exists held_for varchar(500)")
    op.execute("grant update (held_for) on organizations to tenancy_app")
    # The eraser's plan has named the column since there is one: a database that was migrated before has it now.
    op.execute("grant update (held_for) on organizations to tenancy_eraser")
