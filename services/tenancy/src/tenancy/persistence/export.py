"""What is exported of an organization, and of a person's account, and what is not."""

from common.persistence.export import ExportPlan, export_of

from tenancy.persistence.tables import metadata

PLAN = export_of(
    metadata,
    left_out={
        "sso_states": "sign-ins on their way through an identity provider, over in minutes",
        "users": "an account is a person's and no organization's; what members see of one another is in memberships",
        "sessions": "an account is a person's and no organization's",
    },
    withheld={
        "invitations.token_hash": "whoever has what it is the hash of may join",
        "api_keys.key_hmac": "what the key is known by",
        "sso_connections.secret_sealed": "what the identity provider knows us by, sealed",
        "webhook_endpoints.secret_sealed": "what webhooks are signed with, sealed",
        "webhook_endpoints.former_sealed": "what webhooks were signed with before, sealed",
        "webhook_attempts.request_head": "has the signature of the message",
    },
    shown={
        "sso_domains.token": "stands in the public DNS",
        "webhook_deliveries.body": "what receivers were sent, in hexadecimal digits",
    },
)

ACCOUNT = ExportPlan(
    metadata,
    whose={"users": "id", "sessions": "user_id", "memberships": "user_id"},
    left_out={
        "credentials": "hashes and sealed secrets, by which one signs in",
        "passkeys": "as GET /api/auth/passkeys/ lists them; what else there is of them only proves a sign-in",
        "recovery_codes": "hashes of codes, by which one signs in",
        "refresh_tokens": "hashes of tokens, by which a session goes on",
        "one_time_links": "hashes of links that were mailed, over in days",
        "email_changes": "an address that waits for two confirmations, over in a day",
        "sso_identities": "the name by which an identity provider knows the person, and the provider keeps it",
    },
    withheld={},
    shown={},
)
"""An account is its person's: the name, the sessions and where he is a member. What organizations keep of their members
is in the exports of those."""
