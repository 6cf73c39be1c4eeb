"""Builds billing from settings; the only file that names every concrete class."""

from datetime import timedelta
from functools import partial
from pathlib import Path

import httpx
from common.audit import Sealer
from common.auth import InternalTokenVerifier
from common.clock import Clock, SystemClock
from common.mail import Mailer
from common.messaging import Broker
from common.messaging.parts import broker_check, connected, event_parts, rabbit_of
from common.parts import Every, Part, Service, database_check, folder_check
from common.persistence import Database, Store
from common.persistence.erasure import Eraser
from common.persistence.export import Exporter
from common.persistence.provision import STANDARD_DOORS
from common.persistence.startup import check_database
from common.web import HttpPart

from billing.adapters.bank_statements import read_statement
from billing.adapters.document_folder import DocumentFolder
from billing.adapters.invoice_pdf import credit_note_pdf, invoice_pdf
from billing.adapters.mtn_disbursement import MtnDisbursement
from billing.adapters.mtn_momo import MoMoConfig, MtnMoMo, payer_number
from billing.adapters.mtn_wire import MtnAccount
from billing.adapters.paypal import PayPal, PayPalConfig
from billing.adapters.paypal_webhooks import (
    LIVE_COMMON_NAME,
    LIVE_ORIGINS,
    SANDBOX_COMMON_NAME,
    SANDBOX_ORIGINS,
    OfflineConfig,
    OfflineFirst,
    OfflineVerifier,
    OnlineVerifier,
    parse_event,
)
from billing.api.app import make_app
from billing.api.dependencies import Tools
from billing.domain.invoice import Issuer
from billing.domain.plan import Method
from billing.domain.pricing import VAT_CAMEROON
from billing.messaging.handlers import subscriptions
from billing.persistence import export
from billing.persistence.erasure import PLAN
from billing.persistence.unit_of_work import BillingStore, UnitOfWork
from billing.ports import PaymentProvider, RefundingProvider, WebhookVerifier
from billing.settings import MOMO_CURRENCY, NAME, PayPalSettings, Settings
from billing.usecases.seed_catalogue import seed_catalogue
from billing.workflows.attaching import Attaching
from billing.workflows.budget import Budget
from billing.workflows.calendar import Calendar
from billing.workflows.checkout import Checkout
from billing.workflows.keeping import Keeping
from billing.workflows.reconciling import Reconciling
from billing.workflows.refunding import Refunding
from billing.workflows.taking_back import TakingBack
from billing.workflows.trying_coupons import TryingCoupons
from billing.workflows.watching import Watch

SYSTEM_ROLES = ("janitor", "webhook", "staff", "catalogue", "seed")
PACKAGE_FOLDER = Path(__file__).parent

RECONCILE_EVERY = timedelta(minutes=10)
"""Pause between two looks whether yesterday was compared with the providers."""

DISPUTES_EVERY = timedelta(minutes=5)
"""Pause between two looks for open disputes that are due; their webhooks come sooner."""

ASK_EVERY = timedelta(milliseconds=500)
"""Pause between two looks for attempts that are due and for webhooks that wait."""

NUMBERS_EVERY = timedelta(minutes=1)
"""Pause between two looks whether the database is older than what was issued; each start looks as well."""

MAILS_EVERY = timedelta(hours=1)
"""Pause between two looks for mails that were sent long ago."""

CALENDAR_EVERY = timedelta(seconds=30)
"""Pause between two looks for subscriptions and orders whose day has come."""


def issuer_of(settings: Settings) -> Issuer:
    """Return who issues invoices."""
    return Issuer(
        code=settings.issuer_code,
        name=settings.issuer_name,
        address=settings.issuer_address,
        email=settings.issuer_email,
        rccm=settings.issuer_rccm,
        niu=settings.issuer_niu,
        legal=settings.issuer_legal,
        phone=settings.issuer_phone,
        tax_regime=settings.issuer_tax_regime,
        tax_office=settings.issuer_tax_office,
        tax_rates=VAT_CAMEROON if settings.issuer_vat_registered else (),
    )


def paypal_of(settings: PayPalSettings, http: httpx.AsyncClient, clock: Clock) -> PayPal:
    """Return the adapter of our PayPal application."""
    return PayPal(
        PayPalConfig(
            base_url=settings.paypal_url,
            client_id=settings.paypal_client_id,
            client_secret=settings.paypal_client_secret.get_secret_value(),
            currency=settings.paypal_currency,
            currencies=frozenset(settings.paypal_currencies),
            merchant_id=settings.paypal_merchant_id or None,
        ),
        http,
        clock.now,
    )


def _momo(settings: Settings, http: httpx.AsyncClient, clock: Clock) -> MtnMoMo:
    return MtnMoMo(
        MoMoConfig(
            base_url=settings.mtn_momo_url,
            subscription_key=settings.mtn_momo_subscription_key.get_secret_value(),
            api_user=settings.mtn_momo_user_id,
            api_key=settings.mtn_momo_api_key.get_secret_value(),
            target_environment=settings.mtn_momo_target,
            currency=MOMO_CURRENCY[settings.mtn_momo_target],
            limit=settings.mtn_momo_most,
            callback_base=f"{settings.public_base_url.rstrip('/')}/webhooks/mtn-momo",
        ),
        http,
        clock.now,
    )


def _momo_refunds(settings: Settings, http: httpx.AsyncClient, clock: Clock) -> MtnDisbursement:
    account = MtnAccount(
        base_url=settings.mtn_momo_url,
        subscription_key=settings.mtn_momo_disbursement_key.get_secret_value(),
        api_user=settings.mtn_momo_disbursement_user_id,
        api_key=settings.mtn_momo_disbursement_api_key.get_secret_value(),
        target_environment=settings.mtn_momo_target,
        currency=MOMO_CURRENCY[settings.mtn_momo_target],
    )
    return MtnDisbursement(account, http, clock.now)


def _verifier(settings: Settings, paypal: PayPal, http: httpx.AsyncClient, clock: Clock) -> WebhookVerifier:
    online = OnlineVerifier(paypal, settings.paypal_webhook_id)
    if not settings.checks_webhooks_offline:
        return online
    is_live = settings.paypal_mode == "live"
    own = (settings.paypal_base_url.rstrip("/"),) if settings.paypal_base_url else None
    ca_file = settings.paypal_webhook_ca_file
    config = OfflineConfig(
        webhook_id=settings.paypal_webhook_id,
        cert_origins=own or (LIVE_ORIGINS if is_live else SANDBOX_ORIGINS),
        common_names=(LIVE_COMMON_NAME if is_live else SANDBOX_COMMON_NAME,),
        trust_anchors_pem=ca_file.read_text() if ca_file else None,
    )
    return OfflineFirst(OfflineVerifier(config, http, clock.now), online)


def tools_of(settings: Settings, store: BillingStore, http: httpx.AsyncClient, clock: Clock) -> Tools:
    """What the API's routes and the worker share."""
    providers: dict[Method, PaymentProvider] = {}
    refunders: dict[Method, RefundingProvider] = {}
    paypal = None
    verifier: WebhookVerifier | None = None
    if Method.PAYPAL in settings.payment_methods:
        paypal = paypal_of(settings, http, clock)
        providers[Method.PAYPAL] = refunders[Method.PAYPAL] = paypal
        verifier = _verifier(settings, paypal, http, clock)
    if Method.MTN_MOMO in settings.payment_methods:
        providers[Method.MTN_MOMO] = _momo(settings, http, clock)
        if settings.mtn_momo_refunds:
            refunders[Method.MTN_MOMO] = _momo_refunds(settings, http, clock)
    issuer, budget = issuer_of(settings), Budget(settings.provider_calls_per_second)
    documents = DocumentFolder(settings.receipts_folder)
    return Tools(
        store=store,
        checkout=Checkout(store, providers, issuer, clock, budget),
        reconciling=Reconciling(
            store,
            providers,
            {Method.PAYPAL: paypal} if paypal else {},
            clock,
            budget,
        ),
        taking_back=TakingBack(store, paypal, issuer, budget),
        trying_coupons=TryingCoupons(store, settings.coupon_limits),
        refunding=Refunding(store, refunders, issuer, clock, budget),
        settings=settings,
        issuer=issuer,
        documents=documents,
        keeping=Keeping(store, documents),
        draw_invoice=invoice_pdf,
        draw_credit_note=credit_note_pdf,
        paypal_webhooks=verifier,
        read_webhook=parse_event,
        read_phone_number=partial(
            payer_number,
            target_environment=settings.mtn_momo_target,
            test_numbers=settings.environment != "production",
        ),
        read_statement=read_statement,
        exporter=Exporter(store, export.PLAN, service=NAME),
    )


def _timers(database: Database, tools: Tools) -> list[Part]:
    watch = Watch(tools.store, tools.checkout, tools.taking_back, tools.read_webhook)
    calendar = Calendar(tools.store, tools.checkout, tools.settings.terms, tools.settings.patience)
    return [
        # Any number of processes may ask and handle: each row is claimed by one statement.
        Every("billing.janitor", ASK_EVERY, watch.ask_due, None),
        Every("billing.refunds", ASK_EVERY, tools.refunding.follow_due, None),
        Every("billing.reconciliation", RECONCILE_EVERY, tools.reconciling.run_due, database),
        Every("billing.disputes", DISPUTES_EVERY, tools.taking_back.follow_due, database),
        Every("billing.webhooks", ASK_EVERY, watch.handle_webhooks, None),
        Every("billing.numbers", NUMBERS_EVERY, tools.keeping.compare, database),
        Every("billing.calendar", CALENDAR_EVERY, calendar.run_due, database),
    ]


async def build(settings: Settings, broker: Broker | None = None) -> Service:
    """Make the parts ``api`` and ``worker``.

    Args:
        settings: Read from the environment.
        broker: The one broker of a process that runs everything; without it, RabbitMQ by ``broker_url``.

    Raises:
        UnsafeDatabase: The database is not fit to serve from.
        ValueError: Neither a broker nor its address was given, or provider settings contradict each other.
    """
    bus = broker or rabbit_of(settings, NAME)
    database = Database(settings, NAME)
    try:
        await check_database(
            database, (*STANDARD_DOORS, *SYSTEM_ROLES), PACKAGE_FOLDER, production=settings.environment == "production"
        )
    except BaseException:
        await database.close()
        raise
    settings.receipts_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    http = httpx.AsyncClient(timeout=10, follow_redirects=False)
    clock = SystemClock()
    tools = tools_of(settings, Store(database, UnitOfWork, clock), http, clock)
    await tools.keeping.compare()
    app = make_app(tools, InternalTokenVerifier(settings.gateway_public_keys, NAME))
    attaching = Attaching(tools.store, tools.draw_invoice, credit_note_pdf, tools.keeping)
    mailer = Mailer(database, settings, attaching.document)
    members = [
        *event_parts(
            NAME,
            tools.store,
            bus,
            subscriptions,
            audit=Sealer(tools.store, heads_folder=settings.audit_heads_folder),
            eraser=Eraser(tools.store, PLAN),
        ),
        mailer,
        Every("billing.mails", MAILS_EVERY, mailer.forget_texts, database),
        *_timers(database, tools),
    ]

    async def close() -> None:
        await http.aclose()
        await database.close()

    return Service(
        NAME,
        {
            "api": HttpPart("api", app, settings.http_host, settings.http_port),
            "worker": connected("worker", bus, members, own=broker is None),
        },
        close,
        {
            "database": partial(database_check, database),
            "receipts": partial(folder_check, settings.receipts_folder),
        },
        {"worker": {"broker": partial(broker_check, bus)}},
    )


async def create_plans(settings: Settings) -> None:
    """Seed plans, prices and payment methods; safe to repeat."""
    database = Database(settings, NAME)
    try:
        async with Store(database, UnitOfWork, SystemClock()).for_system("seed") as uow:
            await seed_catalogue(uow)
    finally:
        await database.close()
