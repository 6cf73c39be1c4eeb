"""Builds the gateway from settings; the only file that names every concrete class."""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from common.auth import InternalTokenSigner
from common.messaging import Broker, Envelope
from common.messaging.parts import connected, rabbit_of
from common.parts import Service
from common.web import HttpPart

from gateway.errors import ServiceUnavailable
from gateway.proxy.access_tokens import AccessTokens, Identity, KeySet
from gateway.proxy.answers import Answers
from gateway.proxy.api_document import ApiDocument
from gateway.proxy.api_keys import ApiKeys
from gateway.proxy.app import Gateway
from gateway.proxy.callers import Callers
from gateway.proxy.download_links import DownloadLinks
from gateway.proxy.downloads import Downloads
from gateway.proxy.fairness import InHand
from gateway.proxy.pages import Pages
from gateway.proxy.rate_limits import Counter, CounterOfProcess, RateLimits
from gateway.proxy.revocations import HEARD, Revocations
from gateway.proxy.route_table import RouteTable
from gateway.proxy.routes import ROUTES, SERVICES, Route
from gateway.proxy.services import Services
from gateway.proxy.sessions import Sessions
from gateway.proxy.shared_limits import CounterInRedis
from gateway.settings import NAME, Settings


def proxy_of(
    settings: Settings,
    services: Services,
    counter: Counter,
    broker: Broker | None = None,
    routes: tuple[Route, ...] = ROUTES,
) -> tuple[Gateway, KeySet]:
    """The application around a client of services, and the key set that its readiness depends on.

    Args:
        settings: Read from the environment.
        services: Client of the services.
        counter: Counts requests against limits.
        broker: Tells of sessions that end; without it, tokens run out.
        routes: What is let through.
    """

    async def key_set() -> Mapping[str, Any]:
        answer = await services.ask("tenancy", "/.well-known/jwks.json")
        if answer is None:
            raise ServiceUnavailable(service="tenancy")
        return answer

    async def session(identity: Identity) -> Mapping[str, Any] | None:
        return await services.ask("tenancy", f"/internal/sessions/{identity.session_id}", identity)

    async def document(service: str) -> Mapping[str, Any] | None:
        return await services.ask(service, "/openapi.json")

    async def key(digest: str) -> Mapping[str, Any] | None:
        return await services.ask("tenancy", f"/internal/api-keys/{digest}")

    sessions, revocations = Sessions(session, settings.session_lifetime.total_seconds()), Revocations()
    api_keys = ApiKeys(key, settings.api_key_lifetime.total_seconds())

    def forget() -> None:
        sessions.forget()
        api_keys.forget()

    def hear(envelope: Envelope) -> None:
        revocations.hear(envelope)
        # Whose session it was may have another organization now. A key that ended is refused by its id.
        sessions.forget()

    if broker is not None:
        broker.listen([(fact.source, fact.type) for fact in HEARD.all()], hear, forget)
    keys = KeySet(key_set, settings.key_set_lifetime.total_seconds())
    table = RouteTable(routes)
    gateway = Gateway(
        table,
        services,
        Callers(
            AccessTokens(keys, issuer=settings.token_issuer, audience=settings.token_audience),
            api_keys,
            sessions,
            revocations,
            RateLimits(counter, settings.per_minute()),
        ),
        Pages(ApiDocument(SERVICES, document, table, settings.public_base_url), partial(key_set_check, keys)),
        downloads=Downloads(
            DownloadLinks(json.loads(settings.signing_key.get_secret_value())),
            services,
            table,
            settings.public_base_url,
            settings.idle_seconds,
        ),
        answers=Answers(settings.cors_origins, secure=settings.environment == "production"),
        in_hand=InHand(settings.requests_at_once),
        idle_seconds=settings.idle_seconds,
        trusted=settings.trusted_proxies,
    )
    return gateway, keys


async def key_set_check(keys: KeySet) -> str | None:
    """Readiness check: tokens can be verified."""
    try:
        await keys.key("")
    except ServiceUnavailable:
        return "tenancy's key set cannot be had"
    return None


async def build(settings: Settings, broker: Broker | None = None) -> Service:
    """Make the part `api`. It serves while the broker is away: only what ends meanwhile is then heard of late.

    Args:
        settings: Read from the environment.
        broker: The one broker of a process that runs everything; without it, RabbitMQ by `broker_url`.

    Raises:
        ValueError: the signing key is no Ed25519 key with a `kid`, or there is neither a broker nor its address.
    """
    bus = broker or rabbit_of(settings, NAME)
    private = json.loads(settings.signing_key.get_secret_value())
    if not private.get("kid") or not private.get("d"):
        raise ValueError("GATEWAY_SIGNING_KEY: a private Ed25519 key with a kid")
    services = Services(
        {"tenancy": settings.tenancy_url, "billing": settings.billing_url, "backup-engine": settings.backup_engine_url},
        InternalTokenSigner(private),
        connect_seconds=settings.connect_seconds,
        connections=settings.connections_per_service,
    )
    shared = CounterInRedis(settings.limits_url.get_secret_value(), CounterOfProcess()) if settings.limits_url else None
    gateway, keys = proxy_of(settings, services, shared or CounterOfProcess(), bus)
    api = HttpPart("api", gateway, settings.http_host, settings.http_port)

    async def close() -> None:
        await services.close()
        if shared is not None:
            await shared.close()

    return Service(
        NAME,
        {"api": api if broker else connected("api", bus, [api], own=True)},
        close,
        {"key_set": partial(key_set_check, keys)},
    )
