"""Where an organization wants to hear of things, as its owners and admins set it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from common.ids import uuid7

from tenancy.domain.webhook_signatures import new_secret
from tenancy.domain.webhook_urls import url_problem
from tenancy.domain.webhooks import MOST_ENDPOINTS, Endpoint, Off, wishes
from tenancy.errors import (
    EmailNotVerified,
    EventTypeUnknown,
    TooManyWebhookEndpoints,
    WebhookUrlRefused,
)
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import Sealer
from tenancy.usecases.steps.features import API_ACCESS, demand
from tenancy.usecases.steps.room import writable_organization
from tenancy.usecases.steps.webhooks import find_endpoint


@dataclass(frozen=True, slots=True)
class UrlRules:
    """Which addresses an endpoint may have."""

    ports: Collection[int]
    allow_loopback: bool

    def check(self, url: str) -> str:
        """Return the address.

        Raises:
            WebhookUrlRefused: it may not be one.
        """
        problem = url_problem(url, ports=self.ports, allow_loopback=self.allow_loopback)
        if problem is not None:
            raise WebhookUrlRefused(reason=problem, ports=", ".join(map(str, sorted(self.ports))))
        return url


async def create_endpoint(
    uow: UnitOfWork,
    sealer: Sealer,
    rules: UrlRules,
    actor: UUID,
    *,
    url: str,
    event_types: Sequence[str],
    description: str,
) -> tuple[Endpoint, str]:
    """Return the new endpoint and its secret, which is shown nowhere else from here on.

    Raises:
        WebhookUrlRefused, EventTypeUnknown, OrganizationSuspended, FeatureNotInPlan, EmailNotVerified,
            TooManyWebhookEndpoints: as they say.
    """
    organization = await writable_organization(uow)
    demand(organization, API_ACCESS)
    person = await uow.people.named(actor)
    if person is None or person.email_verified_at is None:
        raise EmailNotVerified
    if await uow.webhook_endpoints.count(organization.id) >= MOST_ENDPOINTS:
        raise TooManyWebhookEndpoints(limit=MOST_ENDPOINTS)
    endpoint = Endpoint(
        id=uuid7(),
        tenant_id=organization.id,
        url=rules.check(url),
        description=description,
        event_types=_known(event_types),
        enabled=True,
        off_for=None,
        failing_since=None,
        former_until=None,
        created_by=actor,
        created_at=uow.clock.now(),
    )
    secret = new_secret()
    await uow.webhook_endpoints.add(endpoint, sealer.seal(secret, endpoint.id))
    await uow.audit("webhook_endpoint.created", str(endpoint.id), actor=actor, after=_told(endpoint))
    return endpoint, secret


async def change_endpoint(
    uow: UnitOfWork,
    rules: UrlRules,
    actor: UUID,
    endpoint_id: UUID,
    *,
    url: str | None,
    event_types: Sequence[str] | None,
    description: str | None,
    enabled: bool | None,
) -> Endpoint:
    """Change what is named; what is None stays. Switching off ends what waits, switching on forgets old failures.

    Raises:
        WebhookEndpointNotFound, WebhookUrlRefused, EventTypeUnknown, OrganizationSuspended, FeatureNotInPlan: as they
            say; the last only where it is switched on.
    """
    organization = await writable_organization(uow)
    before = await find_endpoint(uow, endpoint_id, lock=True)
    after = replace(
        before,
        url=before.url if url is None else rules.check(url),
        event_types=before.event_types if event_types is None else _known(event_types),
        description=before.description if description is None else description,
    )
    if enabled and not before.enabled:
        demand(organization, API_ACCESS)
        after = replace(after, enabled=True, off_for=None, failing_since=None)
    if enabled is False and before.enabled:
        after = replace(after, enabled=False, off_for=Off.BY_PERSON)
        await uow.webhook_deliveries.give_up(before, uow.clock.now())
    if after != before:
        await uow.webhook_endpoints.save(after)
        await uow.audit(
            "webhook_endpoint.changed", str(after.id), actor=actor, before=_told(before), after=_told(after)
        )
    return after


async def delete_endpoint(uow: UnitOfWork, actor: UUID, endpoint_id: UUID) -> None:
    """Delete an endpoint with its log; a suspended organization may do it too.

    Raises:
        WebhookEndpointNotFound: there is none.
    """
    endpoint = await find_endpoint(uow, endpoint_id, lock=True)
    await uow.webhook_endpoints.delete(endpoint, uow.clock.now())
    await uow.audit("webhook_endpoint.deleted", str(endpoint.id), actor=actor, before=_told(endpoint))


async def rotate_secret(
    uow: UnitOfWork, sealer: Sealer, actor: UUID, endpoint_id: UUID, overlap: timedelta
) -> tuple[Endpoint, str]:
    """Put a new secret in force and return it; the one before signs beside it as long as `overlap`, an older no more.

    Raises:
        WebhookEndpointNotFound, OrganizationSuspended: as they say.
    """
    await writable_organization(uow)
    endpoint = await find_endpoint(uow, endpoint_id, lock=True)
    secret, until = new_secret(), uow.clock.now() + overlap if overlap else None
    await uow.webhook_endpoints.rotate(endpoint, sealer.seal(secret, endpoint.id), until)
    details = {"former_until": until.isoformat() if until else None}
    await uow.audit("webhook_endpoint.secret_rotated", str(endpoint.id), actor=actor, details=details)
    return replace(endpoint, former_until=until), secret


def _known(event_types: Sequence[str]) -> tuple[str, ...]:
    wanted = wishes(event_types)
    if wanted is None:
        raise EventTypeUnknown
    return wanted


def _told(endpoint: Endpoint) -> dict[str, str | bool | list[str]]:
    """What the audit log says of an endpoint: no path and no query, for there may be a secret in them."""
    return {"host": endpoint.host, "event_types": list(endpoint.event_types), "enabled": endpoint.enabled}
