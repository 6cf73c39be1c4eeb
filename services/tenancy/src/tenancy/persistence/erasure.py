"""What becomes of tenancy's rows when an organization is deleted."""

from common.persistence.erasure import Target, plan_of

NOBODY = "'00000000-0000-0000-0000-000000000000'"

SINGLE_SIGN_ON = (
    Target("sso_states"),
    Target("sso_domains"),
    Target("sso_connections"),
    Target("sign_in_rules"),
)
"""Came after the eraser, so a migration of their own lets it take them."""

WEBHOOKS = (Target("webhook_attempts"), Target("webhook_deliveries"), Target("webhook_endpoints"))
"""Came later still."""

IMPERSONATIONS = (Target("impersonations"),)
"""The same."""

PLAN = plan_of(
    *IMPERSONATIONS,
    *SINGLE_SIGN_ON,
    *WEBHOOKS,
    Target("audit_entries"),
    Target("api_keys"),
    Target("invitations"),
    Target("memberships"),
    Target("usage_metrics"),
    Target("applied_orders"),
    Target("users", column="last_tenant_id", empty={"last_tenant_id": "null"}),
    Target("sessions", column="active_tenant_id", empty={"active_tenant_id": "null"}),
    Target(
        "organizations",
        where="email <> ''",
        empty={
            "name": "''",
            "slug": "'deleted-' || tenant_id",
            "email": "''",
            "owner_user_id": NOBODY,
            "phone": "null",
            "address": "null",
            "rccm": "null",
            "niu": "null",
            "technical_email": "null",
            "held_for": "null",
        },
    ),
    kept={
        "organizations": "a nameless row, so that a late payment or a repeated fact makes no new organization of it",
        "entitlements": "the plan that it had, of the nameless row",
    },
)
