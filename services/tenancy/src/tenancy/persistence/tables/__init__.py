"""Tables of tenancy. Persons and what is theirs carry no tenant; the rest leads every key with `tenant_id`.

Which role may do what with them is in the migrations and, as a whole, in `contracts/access.json`.
"""

from tenancy.persistence.tables.columns import metadata
from tenancy.persistence.tables.organizations import (
    api_keys,
    applied_orders,
    audit_entries,
    entitlements,
    impersonations,
    invitations,
    memberships,
    organizations,
    platform_audit_entries,
    usage_metrics,
)
from tenancy.persistence.tables.people import (
    attempts,
    credentials,
    email_changes,
    one_time_links,
    passkey_challenges,
    passkeys,
    recovery_codes,
    refresh_tokens,
    sessions,
    signing_keys,
    users,
)
from tenancy.persistence.tables.sign_on import sign_in_rules, sso_connections, sso_domains, sso_identities, sso_states
from tenancy.persistence.tables.webhooks import webhook_attempts, webhook_deliveries, webhook_endpoints

__all__ = [
    "api_keys",
    "applied_orders",
    "attempts",
    "audit_entries",
    "credentials",
    "email_changes",
    "entitlements",
    "impersonations",
    "invitations",
    "memberships",
    "metadata",
    "one_time_links",
    "organizations",
    "passkey_challenges",
    "passkeys",
    "platform_audit_entries",
    "recovery_codes",
    "refresh_tokens",
    "sessions",
    "sign_in_rules",
    "signing_keys",
    "sso_connections",
    "sso_domains",
    "sso_identities",
    "sso_states",
    "usage_metrics",
    "users",
    "webhook_attempts",
    "webhook_deliveries",
    "webhook_endpoints",
]
