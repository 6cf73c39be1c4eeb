"""The route table: what the gateway lets through, to whom, and under which limits. What is not listed is 404.

`{name}` stands for one segment of a path. Roles, features and states are the
services' business; here it is only decided whether a signed-in person is needed.
"""

from dataclasses import dataclass
from enum import Enum

KIB = 1024
MIB = 1024 * KIB

JSON_BYTES = 1 * MIB
"""Largest body of a route that takes JSON."""

RECEIPT_BYTES = 12 * MIB
"""A scanned receipt of 10 MiB with its multipart frame; billing checks the file itself."""

WEBHOOK_SECONDS = 5.0
"""Providers give up after a few seconds and send again."""


SERVICES = ("tenancy", "billing", "backup-engine")


class Level(Enum):
    """Whom a route is for."""

    PUBLIC = "public"
    """Anybody. A token that is sent along is not looked at."""
    TOKEN = "token"  # noqa: S105
    """Whoever is signed in, with or without an active organization."""
    ORGANIZATION = "organization"
    """Whoever is signed in; the service refuses those without an active organization."""


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the table.

    Attributes:
        path: template of the path, to the letter.
        methods: allowed ones.
        service: where it goes.
        level: whom it is for.
        body_bytes: largest body.
        idle_seconds: how long the service may be silent; None for the gateway's setting.
        bucket: which rate limit counts it.
        fresh: whether tenancy is asked for the session on each call: what deletes, restores or changes retention,
            keys, members, credentials or refunds does not wait for a token to run out.
        in_person: what is inside backups: nobody reads it in a customer's name.
        by_link: a file that `POST …/download-links/` makes links to (ADR 0011).
        link_to: the download that this row makes links to.
    """

    path: str
    methods: frozenset[str]
    service: str
    level: Level
    body_bytes: int = JSON_BYTES
    idle_seconds: float | None = None
    bucket: str = "person"
    fresh: bool = False
    in_person: bool = False
    by_link: bool = False
    link_to: "Route | None" = None

    def open_to_impersonation(self, method: str) -> bool:
        """Whether somebody of the staff may ask this in a customer's name: reading an organization's affairs is all."""
        return method in {"GET", "HEAD"} and self.level is Level.ORGANIZATION and not (self.fresh or self.in_person)


def _routes(
    service: str,
    level: Level,
    *rows: tuple[str, str],
    bucket: str | None = None,
    body_bytes: int = JSON_BYTES,
    fresh: bool = False,
    in_person: bool = False,
    by_link: bool = False,
) -> list[Route]:
    chosen = bucket or ("public" if level is Level.PUBLIC else "person")
    return [
        Route(
            path,
            frozenset(methods.split()),
            service,
            level,
            body_bytes=body_bytes,
            bucket=chosen,
            fresh=fresh,
            in_person=in_person,
            by_link=by_link,
        )
        for methods, path in rows
    ]


ORGANIZATION = "/api/tenants/organizations/{organization_id}"
ADMIN_IMPERSONATIONS = "/api/admin/organizations/{organization_id}/impersonations/"
ORDER = "/api/tenants/orders/{order_id}"
WEBHOOKS = "/api/tenants/webhook-endpoints/{endpoint_id}"

TENANCY = [
    *_routes(
        "tenancy",
        Level.PUBLIC,
        ("POST", "/api/auth/register/"),
        ("POST", "/api/auth/login/"),
        ("POST", "/api/auth/login/second-factor/"),
        ("POST", "/api/auth/passkeys/login/options/"),
        ("POST", "/api/auth/passkeys/login/"),
        ("POST", "/api/auth/sso/"),
        ("POST", "/api/auth/sso/callback/"),
        ("POST", "/api/auth/verify-email/"),
        ("POST", "/api/auth/verify-email/resend/"),
        ("POST", "/api/auth/password-reset/"),
        ("POST", "/api/auth/password-reset/confirm/"),
        ("POST", "/api/auth/email/confirm/"),
        bucket="sign_in",
        body_bytes=64 * KIB,
    ),
    *_routes(
        "tenancy", Level.PUBLIC, ("POST", "/api/auth/refresh/"), ("GET", "/.well-known/jwks.json"), body_bytes=64 * KIB
    ),
    *_routes(
        "tenancy",
        Level.TOKEN,
        ("POST", "/api/auth/logout/"),
        ("POST", "/api/auth/logout-everywhere/"),
        ("GET", "/api/auth/sessions/"),
        ("DELETE", "/api/auth/sessions/{session_id}/"),
        ("GET PATCH", "/api/auth/user/"),
        ("GET", "/api/auth/user/export/"),
        ("GET", "/api/auth/totp/"),
        ("POST", "/api/auth/second-factor/"),
        ("GET", "/api/auth/passkeys/"),
        ("POST", "/api/auth/switch/"),
        ("POST", "/api/auth/invitations/{token}/accept/"),
        ("GET", "/api/tenants/organizations/"),
    ),
    # How one signs in from now on. Proving the second factor and ending sessions are not among them: they come first.
    *_routes(
        "tenancy",
        Level.TOKEN,
        ("POST", "/api/auth/password/"),
        ("POST", "/api/auth/email/"),
        ("POST", "/api/auth/totp/"),
        ("POST", "/api/auth/totp/confirm/"),
        ("POST", "/api/auth/totp/disable/"),
        ("POST", "/api/auth/totp/recovery-codes/"),
        ("POST", "/api/auth/passkeys/"),
        ("POST", "/api/auth/passkeys/options/"),
        ("PATCH DELETE", "/api/auth/passkeys/{passkey_id}/"),
        fresh=True,
    ),
    *_routes(
        "tenancy",
        Level.ORGANIZATION,
        ("GET", f"{ORGANIZATION}/"),
        ("GET", f"{ORGANIZATION}/members/"),
        ("GET", f"{ORGANIZATION}/deletion/"),
        ("GET", f"{ORGANIZATION}/usage/"),
        ("GET", f"{ORGANIZATION}/usage/history/"),
        ("GET", f"{ORGANIZATION}/sso/"),
        ("GET", f"{ORGANIZATION}/sign-in-rules/"),
        ("GET", f"{ORGANIZATION}/audit-log/"),
        ("GET", f"{ORGANIZATION}/audit-log/export/"),
        ("GET", f"{ORGANIZATION}/impersonations/"),
        ("GET", "/api/tenants/api-keys/"),
        ("GET", "/api/tenants/api-keys/{key_id}/"),
        ("GET", "/api/tenants/webhook-event-types/"),
        ("GET", "/api/tenants/webhook-endpoints/"),
        ("GET", f"{WEBHOOKS}/"),
        ("GET", f"{WEBHOOKS}/deliveries/"),
        ("GET", f"{WEBHOOKS}/deliveries/{{delivery_id}}/"),
        ("POST", f"{WEBHOOKS}/test/"),
        ("POST", f"{WEBHOOKS}/replay_failed/"),
        ("POST", f"{WEBHOOKS}/deliveries/{{delivery_id}}/replay/"),
        ("GET", f"{ORGANIZATION}/settings/"),
        ("GET", f"{ORGANIZATION}/invitations/"),
    ),
    *_routes(
        "tenancy",
        Level.ORGANIZATION,
        ("POST", f"{ORGANIZATION}/invite_member/"),
        ("PATCH", f"{ORGANIZATION}/settings/"),
        ("PATCH DELETE", f"{ORGANIZATION}/members/{{user_id}}/"),
        ("POST", f"{ORGANIZATION}/leave/"),
        ("DELETE", f"{ORGANIZATION}/impersonations/{{impersonation_id}}/"),
        ("POST DELETE", f"{ORGANIZATION}/deletion/"),
        ("POST", f"{ORGANIZATION}/transfer_ownership/"),
        ("POST", f"{ORGANIZATION}/invitations/{{invitation_id}}/resend/"),
        ("DELETE", f"{ORGANIZATION}/invitations/{{invitation_id}}/"),
        ("POST", "/api/tenants/api-keys/"),
        ("DELETE", "/api/tenants/api-keys/{key_id}/"),
        # Where an organization's facts go, and by which secret they are known.
        ("POST", "/api/tenants/webhook-endpoints/"),
        ("PATCH DELETE", f"{WEBHOOKS}/"),
        ("POST", f"{WEBHOOKS}/rotate_secret/"),
        ("PUT DELETE", f"{ORGANIZATION}/sso/"),
        ("POST", f"{ORGANIZATION}/sso/domains/"),
        ("POST", f"{ORGANIZATION}/sso/domains/{{domain}}/verify/"),
        ("DELETE", f"{ORGANIZATION}/sso/domains/{{domain}}/"),
        ("PUT", f"{ORGANIZATION}/sign-in-rules/"),
        fresh=True,
    ),
    *_routes(
        "tenancy",
        Level.TOKEN,
        ("GET", "/api/admin/audit-log/"),
        ("GET", "/api/admin/audit-log/export/"),
        ("GET", "/api/admin/audit-log/verification/"),
        ("GET", "/api/admin/organizations/"),
        ("GET", "/api/admin/organizations/{organization_id}/"),
        ("GET", "/api/admin/organizations/{organization_id}/audit-log/"),
        ("DELETE", f"{ADMIN_IMPERSONATIONS}{{impersonation_id}}/"),
    ),
    *_routes(
        "tenancy",
        Level.TOKEN,
        ("POST", "/api/admin/organizations/{organization_id}/suspend/"),
        ("POST", "/api/admin/organizations/{organization_id}/reactivate/"),
        ("PATCH", "/api/admin/organizations/{organization_id}/entitlements/"),
        ("POST", ADMIN_IMPERSONATIONS),
        ("POST", f"{ADMIN_IMPERSONATIONS}{{impersonation_id}}/token/"),
        fresh=True,
    ),
]

EXPORT = f"{ORGANIZATION}/export"
EXPORTS = [
    row
    for service in SERVICES
    for row in _routes(service, Level.ORGANIZATION, ("GET", f"{EXPORT}/{service}/"), bucket="export", fresh=True)
]
"""What each service keeps of an organization, for its owner to take along."""

BILLING = [
    *_routes(
        "billing",
        Level.PUBLIC,
        ("GET", "/api/tenants/plans/"),
        ("GET", "/api/tenants/plans/{plan_id}/"),
        ("GET", "/api/tenants/plans/{plan_id}/features/"),
        ("GET", "/api/tenants/payment-methods/"),
    ),
    *_routes(
        "billing",
        Level.TOKEN,
        ("GET POST", "/api/tenants/orders/"),
        ("GET", f"{ORDER}/"),
        ("POST", f"{ORDER}/cancel/"),
        ("POST", f"{ORDER}/initiate_payment/"),
        ("POST", f"{ORDER}/verify_payment/"),
        ("GET", "/api/tenants/payments/"),
        ("GET", "/api/tenants/payments/{payment_id}/"),
        ("POST", "/api/tenants/payments/{payment_id}/verify_bank_transfer/"),
        ("GET", "/api/tenants/invoices/"),
        ("GET", "/api/tenants/invoices/{invoice_id}/"),
        ("GET", "/api/tenants/credit-notes/"),
        ("GET", "/api/tenants/credit-notes/{credit_note_id}/"),
        ("GET", "/api/tenants/subscription/"),
        ("POST", "/api/tenants/subscription/cancel/"),
        ("POST", "/api/tenants/subscription/resume/"),
        ("POST", "/api/tenants/subscription/auto_renew/"),
        ("PATCH", "/api/admin/plans/{plan_id}/"),
        ("GET", "/api/admin/plans/{plan_id}/versions/"),
        ("GET", "/api/admin/payments/"),
        ("GET", "/api/admin/payments/{payment_id}/receipt/"),
        ("GET", "/api/admin/refunds/"),
        ("GET", "/api/admin/refunds/{refund_id}/"),
        ("GET", "/api/admin/credit-notes/"),
        ("GET", "/api/admin/orders/"),
        ("GET", "/api/admin/invoices/"),
        ("GET", "/api/admin/invoices/{invoice_id}/download/"),
        ("GET POST", "/api/admin/coupons/"),
        ("POST", "/api/admin/coupons/{code}/switch/"),
        ("GET", "/api/admin/cases/"),
        ("POST", "/api/admin/cases/{case_id}/close/"),
        ("GET", "/api/admin/disputes/"),
        ("GET", "/api/admin/reconciliations/"),
        ("GET", "/api/admin/unmatched-movements/"),
        ("POST", "/api/admin/unmatched-movements/{provider}/{reference}/close/"),
        ("GET", "/api/admin/revenue/"),
        ("GET", "/api/admin/bank-statement-lines/"),
        ("POST", "/api/admin/bank-statement-lines/{line_id}/approve/"),
        ("POST", "/api/admin/bank-statement-lines/{line_id}/propose/"),
        ("POST", "/api/admin/bank-statement-lines/{line_id}/release/"),
        ("POST", "/api/admin/bank-statement-lines/{line_id}/dismiss/"),
    ),
    *_routes(
        "billing",
        Level.TOKEN,
        ("GET", "/api/tenants/invoices/{invoice_id}/download/"),
        ("GET", "/api/tenants/credit-notes/{credit_note_id}/download/"),
        by_link=True,
    ),
    *_routes(
        "billing",
        Level.TOKEN,
        ("GET POST", "/api/tenants/payments/{payment_id}/receipt/"),
        ("POST", "/api/admin/bank-statements/"),
        body_bytes=RECEIPT_BYTES,
    ),
    *_routes(
        "billing",
        Level.TOKEN,
        ("POST", "/api/admin/orders/{order_id}/transfers/"),
        ("POST", "/api/admin/payments/{payment_id}/refunds/"),
        ("POST", "/api/admin/refunds/{refund_id}/approve/"),
        ("POST", "/api/admin/refunds/{refund_id}/reject/"),
        ("POST", "/api/admin/refunds/{refund_id}/record/"),
        ("POST", "/api/admin/disputes/{dispute_id}/lift/"),
        ("POST", "/api/admin/organizations/{organization_id}/plan/"),
        fresh=True,
    ),
    # Codes are guessed by a person, who may sign in as often as he likes; what an order would cost tells of them too.
    *_routes(
        "billing",
        Level.TOKEN,
        ("POST", "/api/tenants/coupons/validate/"),
        ("POST", "/api/tenants/orders/preview/"),
        bucket="coupons",
    ),
    Route("/webhooks/paypal/", frozenset({"POST"}), "billing", Level.PUBLIC, MIB, WEBHOOK_SECONDS, "webhook"),
    Route(
        "/webhooks/mtn-momo/{token}",
        frozenset({"POST", "PUT"}),
        "billing",
        Level.PUBLIC,
        MIB,
        WEBHOOK_SECONDS,
        "webhook",
    ),
]

ESXI, CONFIGS, RESTORE = "/api/esxi-servers", "/api/backup-configs", "/api/restore"

BACKUP_ENGINE = [
    *_routes(
        "backup-engine",
        Level.ORGANIZATION,
        ("GET", "/api/backup-chains/"),
        ("GET POST", f"{CONFIGS}/"),
        ("GET", f"{CONFIGS}/{{configuration_id}}/"),
        ("GET POST", "/api/backup-jobs/"),
        ("GET", "/api/backup-jobs/{job_id}/"),
        ("POST", "/api/backup-jobs/{job_id}/cancel/"),
        ("GET", "/api/datastores/"),
        ("GET POST", f"{ESXI}/"),
        ("GET", f"{ESXI}/{{server_id}}/"),
        ("GET", f"{ESXI}/{{server_id}}/get_datastores/"),
        ("GET", f"{ESXI}/{{server_id}}/get_networks/"),
        ("POST", f"{ESXI}/{{server_id}}/sync_vms/"),
        ("POST", f"{ESXI}/{{server_id}}/test_connection/"),
        ("GET", "/api/restore-points/"),
        ("GET", "/api/restore-points/{point_id}/"),
        ("POST", "/api/restore-points/{point_id}/undelete/"),
        ("GET", f"{RESTORE}/jobs/"),
        ("GET", f"{RESTORE}/jobs/{{job_id}}/"),
        ("POST", f"{RESTORE}/jobs/{{job_id}}/cancel/"),
        ("GET", "/api/virtual-machines/"),
        ("GET", "/api/virtual-machines/{vm_id}/"),
        ("POST", "/api/virtual-machines/{vm_id}/power/"),
    ),
    *_routes(
        "backup-engine",
        Level.ORGANIZATION,
        ("PATCH DELETE", f"{CONFIGS}/{{configuration_id}}/"),
        ("PATCH DELETE", f"{ESXI}/{{server_id}}/"),
        ("DELETE", "/api/restore-points/{point_id}/"),
        ("POST", f"{RESTORE}/disk/"),
        ("POST", f"{RESTORE}/vm/"),
        fresh=True,
    ),
    *_routes(
        "backup-engine",
        Level.ORGANIZATION,
        ("GET", f"{RESTORE}/jobs/{{job_id}}/disks/{{disk_key}}/content"),
        in_person=True,
        by_link=True,
    ),
]

OWN = "gateway"
"""The service of rows that the gateway answers itself, by asking the service of a download."""
DOWNLOADS = "/api/downloads/{token}"
LINKS = "download-links/"


def link_of(download: str) -> str:
    """Where links to a download are made: `download-links/` in the place of its last segment."""
    return f"{download.rstrip('/').rpartition('/')[0]}/{LINKS}"


def download_of(download: Route, path: str) -> str:
    """The path of a download, from that on which a link to it is made."""
    return path.removesuffix(LINKS) + download.path.removeprefix(link_of(download.path).removesuffix(LINKS))


GATEWAY = [
    *(
        Route(link_of(row.path), frozenset({"POST"}), OWN, row.level, body_bytes=KIB, link_to=row)
        for row in (*BILLING, *BACKUP_ENGINE)
        if row.by_link
    ),
    Route(DOWNLOADS, frozenset({"GET"}), OWN, Level.PUBLIC, bucket="public"),
]

ROUTES: tuple[Route, ...] = (*TENANCY, *BILLING, *BACKUP_ENGINE, *EXPORTS, *GATEWAY)
