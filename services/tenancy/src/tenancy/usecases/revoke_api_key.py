"""End a key, for good."""

from uuid import UUID

from tenancy.domain.api_keys import ApiKey
from tenancy.errors import ApiKeyNotFound
from tenancy.events import ApiKeyRevoked
from tenancy.persistence.unit_of_work import UnitOfWork


async def revoke_api_key(uow: UnitOfWork, key_id: UUID, *, actor: UUID) -> ApiKey:
    """Revoke a key and tell of it. A second call does nothing; a suspended organization may do it too.

    Raises:
        ApiKeyNotFound: there is none.
    """
    key = await uow.api_keys.get(uow.tenant_id, key_id, lock=True)
    if key is None:
        raise ApiKeyNotFound
    if key.revoked_at is None:
        await uow.api_keys.revoke(key, uow.clock.now())
        await uow.publish(ApiKeyRevoked(key_id=key.id), subject=str(key.id))
        await uow.audit("api_key.revoked", str(key.id), actor=actor, before={"name": key.name})
    return key
