"""Builds tenancy from settings; the only file that names every concrete class."""

import asyncio
import secrets
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import httpx
from common.audit import Sealer
from common.auth import InternalTokenVerifier
from common.auth.internal_token import new_key
from common.clock import Clock, SystemClock
from common.mail import Mailer
from common.messaging import Broker
from common.messaging.parts import broker_check, connected, event_parts, rabbit_of
from common.parts import Every, Service, database_check
from common.persistence import Database, Store
from common.persistence.erasure import Eraser
from common.persistence.export import Exporter
from common.persistence.provision import STANDARD_DOORS
from common.persistence.startup import check_database
from common.web import HttpPart
from starlette.types import ASGIApp

from tenancy.adapters.breaches import BreachedPasswordFile
from tenancy.adapters.dns_records import DnsRecords
from tenancy.adapters.key_hashing import HmacKeyHasher
from tenancy.adapters.letters import TemplateLetters
from tenancy.adapters.oidc import OidcProviders
from tenancy.adapters.passkeys import WebAuthnPasskeys
from tenancy.adapters.passwords import Argon2Passwords
from tenancy.adapters.public_addresses import DnsAddresses, PublicAddressesOnly
from tenancy.adapters.sealing import AesSealer
from tenancy.adapters.tokens import EdDsaAccessTokens
from tenancy.adapters.webhook_receivers import HttpReceivers
from tenancy.api.app import make_app
from tenancy.domain.passwords import weakness
from tenancy.domain.roles import StaffRole
from tenancy.domain.signing_keys import SigningKey
from tenancy.domain.totp import new_secret
from tenancy.errors import WeakPassword
from tenancy.messaging.handlers import subscriptions
from tenancy.persistence import export
from tenancy.persistence.erasure import PLAN
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.settings import NAME, Settings
from tenancy.usecases import create_staff as staff
from tenancy.usecases import dismiss_staff as dismissing
from tenancy.workflows.due_deletions import DueDeletions
from tenancy.workflows.forgetting import forget_outlived
from tenancy.workflows.overdue_impersonations import end_overdue
from tenancy.workflows.signing_keys import rotate, take_over
from tenancy.workflows.tools import Tools
from tenancy.workflows.webhook_sender import WebhookSender

SYSTEM_ROLES = ("auth", "staff", "janitor", "courier")
DELETIONS = timedelta(minutes=1)
"""Pause between two looks for organizations whose grace is over."""
IMPERSONATIONS = timedelta(minutes=1)
"""Pause between two looks for impersonations whose time is over; their tokens end without it."""
FORGETTING = timedelta(hours=1)
"""Pause between two removals of proofs, counts and texts that nobody can use any more."""
LOOKING = timedelta(seconds=15)
"""Pause between two looks at how many webhooks are due; one to a scrape."""
PACKAGE_FOLDER = Path(__file__).parent


def tools_of(settings: Settings, database: Database, clock: Clock) -> Tools:
    """What the API's routes share."""
    store = Store(database, UnitOfWork, clock)
    return Tools(
        settings=settings,
        store=store,
        passwords=Argon2Passwords(settings.password_threads, queue=settings.password_queue),
        tokens=EdDsaAccessTokens(
            settings.token_private_keys.get_secret_value(),
            issuer=settings.token_issuer,
            audience=settings.token_audience,
            lifetime=settings.access_lifetime,
            clock=clock,
        ),
        sealer=AesSealer(settings.secret_key.get_secret_value()),
        letters=TemplateLetters(settings.link_base),
        key_hasher=HmacKeyHasher(settings.secret_key.get_secret_value()),
        breached=BreachedPasswordFile(settings.breached_passwords_file),
        passkeys=WebAuthnPasskeys(settings.passkey_domain, settings.passkey_pages),
        providers=OidcProviders(partial(PublicAddressesOnly, allow_loopback=settings.sso_allow_loopback)),
        domain_records=DnsRecords(settings.dns_servers),
        exporter=Exporter(store, export.PLAN, service=NAME),
    )


def sender_of(tools: Tools, tls: ssl.SSLContext | None = None) -> WebhookSender:
    """What sends webhooks; `tls` says how receivers' certificates are checked, for tests."""
    transport = partial(
        PublicAddressesOnly,
        allow_loopback=tools.settings.webhook_allow_loopback,
        ports=frozenset(tools.settings.webhook_ports),
        resolve=DnsAddresses(tools.settings.dns_servers),
        tls=tls or httpx.create_ssl_context(),
    )
    receivers = HttpReceivers(transport, tools.settings.webhook_patience)
    return WebhookSender(tools.store, tools.sealer, tools.letters, receivers)


async def build(settings: Settings, broker: Broker | None = None) -> Service:
    """Make the parts `api` and `worker`.

    Args:
        settings: read from the environment.
        broker: the one broker of a process that runs everything; without it, RabbitMQ by `broker_url`.

    Raises:
        UnsafeDatabase: see `common.persistence.startup`.
        ValueError: neither a broker nor its address was given, or a signing key is unusable.
    """
    bus = broker or rabbit_of(settings, NAME)
    database = Database(settings, NAME)
    try:
        await check_database(
            database, (*STANDARD_DOORS, *SYSTEM_ROLES), PACKAGE_FOLDER, production=settings.environment == "production"
        )
        tools = tools_of(settings, database, SystemClock())
    except BaseException:
        await database.close()
        raise
    app = make_app(tools, InternalTokenVerifier(settings.gateway_public_keys, NAME))
    # Tenancy has the view of all services' rows, and reads its own where they are.
    audit = Sealer(tools.store, announce=False, heads_folder=settings.audit_heads_folder)
    sender, mailer = sender_of(tools), Mailer(database, settings)
    members = [
        *event_parts(
            NAME, tools.store, bus, subscriptions(tools.letters), audit=audit, eraser=Eraser(tools.store, PLAN)
        ),
        mailer,
        Every("tenancy.mails", FORGETTING, mailer.forget_texts, database),
        Every("tenancy.deletions", DELETIONS, DueDeletions(tools.store, tools.letters).turn, database),
        Every("tenancy.impersonations", IMPERSONATIONS, partial(end_overdue, tools.store), database),
        Every("tenancy.forgetting", FORGETTING, partial(forget_outlived, tools.store, settings.retention), database),
        sender,
        Every("tenancy.webhooks", FORGETTING, sender.forget, database),
        Every("tenancy.webhooks_deleted", LOOKING, sender.clear, database),
        Every("tenancy.webhooks_due", LOOKING, sender.look, None),
    ]

    async def close() -> None:
        tools.passwords.close()
        await database.close()

    return Service(
        NAME,
        {
            "api": _Api(tools, app, settings),
            "worker": connected("worker", bus, members, own=broker is None),
        },
        close,
        {"database": partial(database_check, database)},
        {"worker": {"broker": partial(broker_check, bus)}},
    )


class _Api(HttpPart):
    """The HTTP part, which looks for new signing keys beside serving."""

    KEYS = timedelta(seconds=10)
    """Pause between two looks: far shorter than a new key is announced before it signs."""

    def __init__(self, tools: Tools, app: ASGIApp, settings: Settings) -> None:
        super().__init__("api", app, settings.http_host, settings.http_port)
        self._tools = tools

    async def run(self, stop: asyncio.Event, ready: Callable[[], None]) -> None:
        """Serve until `stop`; the keys are looked for before the first request."""
        look = partial(take_over, self._tools)
        await look()
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(Every("tenancy.keys", self.KEYS, look, None).run(stop, lambda: None))
            await super().run(stop, ready)
            looking.cancel()


async def rotate_key(settings: Settings, *, alone: bool) -> SigningKey:
    """Make a new signing key in the database of running processes."""
    database = Database(settings, NAME)
    tools = tools_of(settings, database, SystemClock())
    try:
        return await rotate(tools, new_key, alone=alone)
    finally:
        tools.passwords.close()
        await database.close()


@dataclass(frozen=True, slots=True)
class StaffCredentials:
    """What a member of the staff signs in with; shown once."""

    email: str
    password: str
    totp_secret: str


async def create_staff(
    settings: Settings, *, email: str, role: str, password: str | None = None, totp_secret: str | None = None
) -> StaffCredentials:
    """Create a staff account, or renew an existing one, and return its credentials.

    Args:
        settings: of tenancy; the database must be migrated.
        email: address to sign in with.
        role: admin, support or finance.
        password: a random one unless given.
        totp_secret: base32; a random one unless given.
    """
    shown = StaffCredentials(email, password or secrets.token_urlsafe(18), totp_secret or new_secret())
    if reason := weakness(shown.password, email):
        raise WeakPassword(reason=reason)
    database = Database(settings, NAME)
    tools = tools_of(settings, database, SystemClock())
    try:
        password_hash = await tools.passwords.hash(shown.password)
        async with tools.store.for_system("auth") as uow:
            await staff.create_staff(
                uow,
                tools.sealer,
                email=email,
                roles=[StaffRole(role)],
                password_hash=password_hash,
                totp_secret=shown.totp_secret,
            )
    finally:
        tools.passwords.close()
        await database.close()
    return shown


async def dismiss_staff(settings: Settings, *, email: str) -> None:
    """Take a person's staff roles, in the database of running processes.

    Raises:
        StaffNotFound: nobody of the staff has that address.
    """
    database = Database(settings, NAME)
    try:
        async with Store(database, UnitOfWork, SystemClock()).for_system("auth") as uow:
            await dismissing.dismiss_staff(uow, email)
    finally:
        await database.close()
