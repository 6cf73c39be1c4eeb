"""Count requests to pay that are sent to phones, per number, order and person."""

from alembic import op
from billing.persistence.tables import metadata
from common.persistence.rls import create, shared_table

revision = "2026_11_23_payment_prompts"
down_revision = "2026_11_23_lifted_disputes"


def upgrade() -> None:
    create(op, metadata, "payment_prompts")
    shared_table(op, "payment_prompts", service="billing", app="select,insert,update(tries,began_at),delete")
