"""Plans in versions: what was bought keeps its terms when a price changes."""

from alembic import op
from billing.persistence.tables import metadata
from common.persistence.rls import create, shared_table

revision = "2026_11_22_plan_versions"
down_revision = "2026_11_22_disputes"

# The first migration makes tables as the code knows them: a new database has the columns already.
COLUMNS = """
alter table plans
  add column if not exists version integer not null default 1,
  add column if not exists renewals_from integer not null default 1,
  add column if not exists trial_days integer not null default 0
"""

RULES = {"renewals": "renewals_from between 1 and version", "trial": "trial_days between 0 and 366"}

STAFFS = """
  display_name, description, description_en, quotas, features, retention, is_active, version, renewals_from, trial_days
"""


def upgrade() -> None:
    op.execute(COLUMNS)
    for name, rule in RULES.items():
        op.execute(f"alter table plans drop constraint if exists ck_plans_{name}")
        op.execute(f"alter table plans add constraint ck_plans_{name} check ({rule})")
    create(op, metadata, "plan_versions")
    shared_table(
        op,
        "plan_versions",
        service="billing",
        app="select",
        system={"catalogue": "select", "seed": "select,insert", "staff": "select,insert"},
    )
    op.execute(
        "create trigger plan_versions_immutable before update or delete on plan_versions"
        " for each row execute function refuse_change()"
    )
    op.execute(f"grant select, update ({STAFFS}) on plans to billing_staff")
    op.execute("grant select, insert, update on plan_prices to billing_staff")
