"""Telling of the end of an impersonation: the organization by its audit log, the gateway by a fact."""

from uuid import UUID

from tenancy.domain.impersonation import Impersonation
from tenancy.events import SessionRevoked
from tenancy.persistence.unit_of_work import UnitOfWork


async def tell_of_end(uow: UnitOfWork, ended: Impersonation, *, by: UUID | None, why: str) -> None:
    """Write it into the organization's log, and let the gateway refuse its tokens; in any door's transaction."""
    await uow.audit(
        "impersonation.ended",
        str(ended.id),
        actor=by or "tenancy",
        reason=why,
        details={"staff": str(ended.staff_user_id)},
        tenant_id=ended.tenant_id,
    )
    fact = SessionRevoked(session_id=ended.id, user_id=ended.user_id, reason="impersonation_ended")
    await uow.publish(fact, subject=str(ended.id), tenant_id=ended.tenant_id)
