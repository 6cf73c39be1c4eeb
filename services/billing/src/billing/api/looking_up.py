"""What staff looks at one by one, of whatever organization it is: never without a row in that one's audit log."""

from typing import Protocol, TypeVar
from uuid import UUID

from common.auth import Principal
from common.errors import DomainError

from billing.persistence.unit_of_work import UnitOfWork


class OfTenant(Protocol):
    """Something that belongs to an organization."""

    @property
    def tenant_id(self) -> UUID: ...


Found = TypeVar("Found", bound=OfTenant)


async def read_by_staff(
    uow: UnitOfWork,
    found: Found | None,
    missing: type[DomainError],
    kind: str,
    name: UUID,
    *,
    who: Principal,
    reason: str,
) -> Found:
    """Return what was found, with ``<kind>.read_by_staff`` in its organization's log by the same transaction.

    Raises:
        DomainError: ``missing``, where nothing was found.
    """
    if found is None:
        raise missing
    await uow.audit(f"{kind}.read_by_staff", str(name), actor=who.user_id, reason=reason, tenant_id=found.tenant_id)
    return found
