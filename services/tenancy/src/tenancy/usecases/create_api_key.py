"""Make a key with which a program may act for the organization."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from common.ids import uuid7

from tenancy.domain.api_keys import LONGEST_LIFE, MOST_KEYS, SHOWN_LENGTH, ApiKey, Scope, new_key, normalized_networks
from tenancy.domain.roles import Role, may_grant
from tenancy.errors import (
    EmailNotVerified,
    ExpiryInvalid,
    NetworkInvalid,
    RoleNotForKeys,
    RoleNotGrantable,
    TooManyApiKeys,
)
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import KeyHasher
from tenancy.usecases.steps.features import API_ACCESS, demand
from tenancy.usecases.steps.room import writable_organization


async def create_api_key(
    uow: UnitOfWork,
    hasher: KeyHasher,
    *,
    maker_id: UUID,
    maker_role: Role,
    name: str,
    role: Role,
    scopes: Sequence[Scope],
    allowed_networks: Sequence[str],
    expires_at: datetime | None,
) -> tuple[ApiKey, str]:
    """Return the new key and its secret, which is nowhere else from here on.

    Raises:
        RoleNotGrantable, RoleNotForKeys: the role is more than the maker may grant, or owner's, which no program has.
        NetworkInvalid, ExpiryInvalid, EmailNotVerified, OrganizationSuspended, FeatureNotInPlan, TooManyApiKeys:
            as they say.
    """
    now = uow.clock.now()
    if role is Role.OWNER:
        raise RoleNotForKeys(role=role.value)
    if not may_grant(maker_role, role):
        raise RoleNotGrantable(role=role.value)
    if expires_at is not None and not now < expires_at <= now + LONGEST_LIFE:
        raise ExpiryInvalid
    try:
        networks = normalized_networks(allowed_networks)
    except ValueError:
        raise NetworkInvalid from None
    organization = await writable_organization(uow)
    demand(organization, API_ACCESS)
    maker = await uow.people.named(maker_id)
    if maker is None or maker.email_verified_at is None:
        raise EmailNotVerified
    if await uow.api_keys.count_usable(organization.id, now) >= MOST_KEYS:
        raise TooManyApiKeys(limit=MOST_KEYS)
    secret = new_key()
    key = ApiKey(
        id=uuid7(),
        tenant_id=organization.id,
        name=name,
        prefix=secret[:SHOWN_LENGTH],
        role=role,
        scopes=tuple(sorted(set(scopes))),
        allowed_networks=tuple(networks),
        created_by=maker_id,
        created_at=now,
        expires_at=expires_at,
    )
    await uow.api_keys.add(key, hasher.of_key(secret))
    made = {"name": name, "role": role.value, "scopes": list(key.scopes), "allowed_networks": networks}
    await uow.audit("api_key.created", str(key.id), actor=maker_id, after=made)
    return key, secret
