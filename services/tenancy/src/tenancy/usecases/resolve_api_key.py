"""What a presented key stands for now: asked by the gateway."""

from dataclasses import dataclass

from tenancy.domain.api_keys import ApiKey
from tenancy.errors import ApiKeyNotFound
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.usecases.steps.features import API_ACCESS


@dataclass(frozen=True, slots=True)
class ResolvedKey:
    """A usable key, and whether the organization's plan lets programs in at this moment."""

    key: ApiKey
    has_api_access: bool


async def resolve_api_key(uow: UnitOfWork, key_hmac: bytes) -> ResolvedKey:
    """Return the key, and remember that it was used.

    Raises:
        ApiKeyNotFound: there is none, or it is revoked or expired; it makes no difference to whoever holds it.
    """
    key = await uow.api_keys.by_hmac(key_hmac)
    organization = await uow.organizations.get(uow.tenant_id)
    now = uow.clock.now()
    if key is None or organization is None or not key.usable(now):
        raise ApiKeyNotFound
    await uow.api_keys.note_use(key, now)
    return ResolvedKey(key, organization.entitlements.features.get(API_ACCESS, False))
