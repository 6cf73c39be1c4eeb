"""API keys that end with what their maker may do."""

from uuid import UUID

from tenancy.domain.membership import Membership
from tenancy.domain.roles import Role, is_above
from tenancy.events import ApiKeyRevoked
from tenancy.persistence.unit_of_work import UnitOfWork


async def end_keys_made_by(uow: UnitOfWork, member: Membership, *, actor: UUID, now_is: Role | None = None) -> None:
    """End the keys that a member made: all, or those that may do more than he may in the role that he has now.

    The audit log names the actor, who removed or demoted him.
    """
    for key in await uow.api_keys.made_by(member.tenant_id, member.user_id):
        if now_is is None or is_above(key.role, now_is):
            await uow.api_keys.revoke(key, uow.clock.now())
            await uow.publish(ApiKeyRevoked(key_id=key.id), subject=str(key.id))
            details = {"made_by": str(member.user_id)}
            await uow.audit("api_key.revoked", str(key.id), actor=actor, before={"name": key.name}, details=details)
