"""First tables: accounts, sessions, organizations, entitlements, usage."""

from alembic import op
from common.persistence.rls import create, mechanism_tables, person_table, setting_expression, tenant_table
from common.persistence.scope import USER_SETTING
from tenancy.persistence.tables import metadata

revision = "2026_11_22_first"
down_revision = None
branch_labels = None
depends_on = None

PERSONS = ("users", "credentials", "sessions", "refresh_tokens", "one_time_links")
TENANTS = ("organizations", "memberships", "entitlements", "applied_orders", "usage_metrics", "invitations")


def upgrade() -> None:
    mechanism_tables(op, "tenancy", system=("auth", "staff"))
    create(op, metadata, *PERSONS, *TENANTS)
    _persons()
    _tenants()


def _persons() -> None:
    person_table(
        op,
        "users",
        service="tenancy",
        person_column="id",
        user="select,update(full_name,language,last_tenant_id)",
        system={
            "auth": "select,insert,update(email_verified_at,disabled_at,last_tenant_id,staff_roles)",
            "staff": "select",
        },
    )
    # A tenant's transaction may look up the one person that it names (an owner, an invitee), and nobody else.
    op.execute("grant select (id, email, full_name, language, email_verified_at) on users to tenancy_app")
    op.execute(
        f"create policy named_person_select on users for select to tenancy_app"
        f" using (id = {setting_expression(USER_SETTING)})"
    )
    person_table(
        op,
        "credentials",
        service="tenancy",
        user=None,
        system={"auth": "select,insert,update(password_hash,totp_sealed,totp_last_step)"},
    )
    person_table(
        op,
        "sessions",
        service="tenancy",
        user="select,update(active_tenant_id,revoked_at,revoked_for)",
        system={"auth": "select,insert,update(active_tenant_id,revoked_at,revoked_for)"},
    )
    person_table(
        op,
        "refresh_tokens",
        service="tenancy",
        user=None,
        system={"auth": "select,insert,update(used_at)"},
    )
    person_table(
        op,
        "one_time_links",
        service="tenancy",
        user=None,
        system={"auth": "select,insert,update(used_at)"},
    )


def _tenants() -> None:
    tenant_table(
        op,
        "organizations",
        service="tenancy",
        app="select,insert,update(name,status,email,owner_user_id,version)",
        system={"staff": "select"},
    )
    tenant_table(
        op,
        "memberships",
        service="tenancy",
        app="select,insert,update(role,email,full_name),delete",
        user="select",
        system={"auth": "select", "staff": "select"},
    )
    tenant_table(
        op,
        "entitlements",
        service="tenancy",
        app="select,insert,update(plan,billing_cycle,quotas,features,retention,subscription_version,period_start,"
        "period_end)",
        system={"staff": "select"},
    )
    tenant_table(op, "applied_orders", service="tenancy", app="select,insert")
    tenant_table(
        op,
        "usage_metrics",
        service="tenancy",
        app="select,insert,update(esxi_servers_count,vms_count,backups_count,storage_bytes,users_count,measured)",
    )
    tenant_table(
        op,
        "invitations",
        service="tenancy",
        app="select,insert,update(accepted_at,revoked)",
        system={"auth": "select"},
    )
