"""The platform's staff holds an organization, lets it go, or gives it other entitlements."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any
from uuid import UUID

from tenancy.domain.organization import Organization, Status
from tenancy.errors import EntitlementUnknown, OrganizationNotFound, OrganizationNotHeld
from tenancy.events import OrganizationState, OrgPlanChanged, OrgReactivated, OrgSuspended
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import Letters
from tenancy.usecases.steps.limit_letters import write_of_limits
from tenancy.usecases.steps.running_month import figures_of
from tenancy.usecases.steps.standing_letters import HELD, REACTIVATED, write_to_owner


async def hold_organization(uow: UnitOfWork, letters: Letters, *, actor: UUID, reason: str) -> Organization:
    """Suspend it until staff lets it go: no payment does. Held already: only the reason changes.

    Raises:
        OrganizationNotFound: there is none.
    """
    known = await _locked(uow)
    await uow.organizations.hold(known.id, reason)
    held = known.moved(Status.SUSPENDED)
    await uow.audit("organization.held_by_staff", str(known.id), actor=actor, reason=reason, **_change(known, held))
    if held != known:
        await _put_in_force(uow, held, OrgSuspended)
        await write_to_owner(uow, letters, HELD, held)
    return held


async def release_organization(uow: UnitOfWork, letters: Letters, *, actor: UUID, reason: str) -> Organization:
    """Let it go. It is active again where its period still runs; else what billing said of it goes on.

    Raises:
        OrganizationNotFound, OrganizationNotHeld: as they say.
    """
    known = await _locked(uow)
    if await uow.organizations.held_for(known.id) is None:
        raise OrganizationNotHeld
    await uow.organizations.hold(known.id, None)
    is_paid = uow.clock.now() < known.entitlements.period_end
    released = known.moved(Status.ACTIVE) if is_paid else known
    change = _change(known, released)
    await uow.audit("organization.released_by_staff", str(known.id), actor=actor, reason=reason, **change)
    if released != known:
        await _put_in_force(uow, released, OrgReactivated)
        await write_to_owner(uow, letters, REACTIVATED, released)
    return released


async def grant_entitlements(
    uow: UnitOfWork, letters: Letters, changes: Mapping[str, Any], *, actor: UUID, reason: str
) -> Organization:
    """Change single quotas, features or days of retention until the next order has its effect.

    The owner is written to of limits that are near or passed by it.

    Args:
        uow: the tenant's transaction.
        letters: writes to the owner.
        changes: `quotas`, `features` and `retention`, each with what changes.
        actor: who of the staff.
        reason: why.

    Raises:
        OrganizationNotFound: there is none.
        EntitlementUnknown: something is named that no plan has, such as a name with a slip of the pen.
    """
    known = await _locked(uow)
    before = asdict(known.entitlements)
    if unknown := [name for group, changed in changes.items() for name in changed if name not in before[group]]:
        possible = [name for group in changes for name in before[group]]
        raise EntitlementUnknown(names=", ".join(sorted(unknown)), known=", ".join(sorted(possible)))
    merged = {name: before[name] | changed for name, changed in changes.items() if changed}
    current = replace(known, entitlements=replace(known.entitlements, **merged), version=known.version + 1)
    if current.entitlements == known.entitlements:
        return known
    await uow.audit(
        "organization.entitlements_changed_by_staff",
        str(known.id),
        actor=actor,
        reason=reason,
        before={name: before[name] for name in merged},
        after=merged,
    )
    await _put_in_force(uow, current, OrgPlanChanged)
    if current.entitlements.quotas != known.entitlements.quotas:
        await write_of_limits(uow, letters, current, await figures_of(uow, current, uow.clock.now()))
    return current


async def _locked(uow: UnitOfWork) -> Organization:
    known = await uow.organizations.get(uow.tenant_id, lock=True)
    if known is None or known.status is Status.DELETED:
        raise OrganizationNotFound
    return known


async def _put_in_force(uow: UnitOfWork, organization: Organization, fact: type[OrganizationState]) -> None:
    await uow.organizations.save(organization)
    told = fact.of(organization, organization.source_order_id)
    await uow.publish(told, subject=str(organization.id), aggregate_version=organization.version)


def _change(before: Organization, after: Organization) -> dict[str, Any]:
    return {"before": {"status": before.status.value}, "after": {"status": after.status.value}}
