"""Who an organization is on its invoices and whom to reach; invitations that can be sent again."""

from alembic import op

revision = "2026_11_22_settings"
down_revision = "2026_11_22_proofs_of_identity"

COLUMNS = {
    "phone": "varchar(40)", "address": "varchar(300)", "rccm": "varchar(60)", "niu": "varchar(60)",
    "technical_email": "varchar(320)",
}  # fmt: skip


def upgrade() -> None:
    added = ", ".join(f"add column if not exists {name} {kind}" for name, kind in COLUMNS.items())
    op.execute(f"alter table organizations {added}")
    op.execute(f"grant update ({', '.join(COLUMNS)}) on organizations to tenancy_app")
    # Invitations that are open now count as sent now: they can be sent again a few minutes later.
    op.execute("alter table invitations add column if not exists sent_at timestamptz not null default now()")
    op.execute("alter table invitations alter column sent_at drop default")
    op.execute("grant update (token_hash, expires_at, sent_at) on invitations to tenancy_app")
