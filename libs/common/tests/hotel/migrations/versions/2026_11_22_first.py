"""First schema."""

from alembic import op
from common.persistence.erasure import MECHANISMS
from common.persistence.rls import audit_sealing, create, erasure_door, mechanism_tables, person_table, tenant_table
from hotel.persistence.tables import metadata

revision = "2026_11_22_first"
down_revision = None


def upgrade() -> None:
    mechanism_tables(op, "hotel", system=("porter",))
    audit_sealing(op, "hotel")
    erasure_door(op, "hotel", *MECHANISMS)
    create(op, metadata, "rooms", "bookings", "guests")
    tenant_table(
        op, "rooms", service="hotel", app="select,insert,update(*),delete", user="select", system={"porter": "select"}
    )
    tenant_table(op, "bookings", service="hotel", app="select,insert,update(note)")
    person_table(op, "guests", service="hotel", user="select,insert,update(name)", person_column="id")
