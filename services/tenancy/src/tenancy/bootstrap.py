"""Builds tenancy from settings; the only file that names every concrete class."""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from common.clock import Clock, SystemClock
from common.mail import Mailer
from common.messaging import Broker
from common.messaging.inbox import InboxWorker
from common.messaging.parts import BrokerPart, broker_check
from common.messaging.rabbitmq import RabbitBroker
from common.messaging.relay import Relay
from common.parts import Every, Group, Part, Service, database_check
from common.persistence import Database, Store
from common.persistence.provision import STANDARD_DOORS
from common.persistence.startup import check_database
from common.web import HttpPart

from tenancy.adapters.letters import TemplateLetters
from tenancy.adapters.passwords import Passwords
from tenancy.adapters.sealing import AesSealer
from tenancy.adapters.tokens import EdDsaAccessTokens
from tenancy.api.app import application
from tenancy.api.dependencies import Kit
from tenancy.domain.passwords import weakness
from tenancy.domain.roles import StaffRole
from tenancy.domain.totp import new_secret
from tenancy.errors import WeakPassword
from tenancy.messaging.handlers import subscriptions
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.settings import Settings
from tenancy.usecases import create_staff as staff

NAME = "tenancy"
SYSTEM_ROLES = ("auth", "staff")
PACKAGE_FOLDER = Path(__file__).parent
HOUSEKEEPING = timedelta(hours=1)


def kit_of(settings: Settings, database: Database, clock: Clock) -> Kit:
    """What the API's routes share."""
    return Kit(
        settings=settings,
        store=Store(database, UnitOfWork, clock),
        passwords=Passwords(settings.password_threads),
        tokens=EdDsaAccessTokens(
            settings.token_private_keys.get_secret_value(),
            issuer=settings.token_issuer,
            audience=settings.token_audience,
            lifetime=settings.access_lifetime,
            clock=clock,
        ),
        sealer=AesSealer(settings.secret_key.get_secret_value()),
        letters=TemplateLetters(settings.link_base),
    )


async def build(settings: Settings, broker: Broker | None = None) -> Service:
    """Make the parts `api` and `worker`.

    Args:
        settings: read from the environment.
        broker: the one broker of a process that runs everything; without it, RabbitMQ by `broker_url`.

    Raises:
        UnsafeDatabase: see `common.persistence.startup`.
        ValueError: neither a broker nor its address was given, or a signing key is unusable.
    """
    bus = broker or _rabbit(settings)
    database = Database(settings, NAME)
    try:
        await check_database(
            database, (*STANDARD_DOORS, *SYSTEM_ROLES), PACKAGE_FOLDER, production=settings.environment == "production"
        )
        kit = kit_of(settings, database, SystemClock())
    except BaseException:
        await database.close()
        raise
    taken = subscriptions(kit.letters)
    inbox = InboxWorker(kit.store, taken)
    bus.subscribe(taken, inbox.receive)
    relay = Relay(database, bus)
    members: list[Part] = [
        relay,
        inbox,
        Mailer(database, settings),
        Every("tenancy.outbox", HOUSEKEEPING, relay.forget_published, database),
        Every("tenancy.inbox", HOUSEKEEPING, inbox.forget_handled, database),
    ]
    # The one broker of a shared process is started and stopped by whoever made it.
    worker = Group("worker", members if broker else [BrokerPart(bus), *members])

    async def close() -> None:
        kit.passwords.close()
        await database.close()

    async def database_answers() -> str | None:
        return await database_check(database)

    async def broker_answers() -> str | None:
        return await broker_check(bus)

    return Service(
        NAME,
        {"api": HttpPart("api", application(kit), settings.http_host, settings.http_port), "worker": worker},
        close,
        {"database": database_answers},
        {"worker": {"broker": broker_answers}},
    )


def _rabbit(settings: Settings) -> RabbitBroker:
    if settings.broker_url is None:
        raise ValueError("TENANCY_BROKER_URL is not set")
    return RabbitBroker(settings.broker_url.get_secret_value(), NAME)


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
    kit = kit_of(settings, database, SystemClock())
    try:
        password_hash = await kit.passwords.hash(shown.password)
        async with kit.store.for_system("auth") as uow:
            await staff.create_staff(
                uow,
                kit.sealer,
                email=email,
                roles=[StaffRole(role)],
                password_hash=password_hash,
                totp_secret=shown.totp_secret,
            )
    finally:
        kit.passwords.close()
        await database.close()
    return shown
