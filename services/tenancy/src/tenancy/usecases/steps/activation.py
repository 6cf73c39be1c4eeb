"""Which of a person's organizations is active in a session, by its members and by what each demands."""

from uuid import UUID

from tenancy.domain.membership import Membership, active_of
from tenancy.domain.sign_in_rules import Obstacle, SignInProof, SignInRules, obstacle
from tenancy.persistence.unit_of_work import UnitOfWork


async def active_membership(
    uow: UnitOfWork, user_id: UUID, proof: SignInProof, *preferred: UUID | None
) -> Membership | None:
    """The first preferred organization that admits the session, else the only one. Needs `for_system("auth")`."""
    memberships = await uow.memberships.of_person(user_id)
    rules = await uow.sign_in_rules.of(one.tenant_id for one in memberships)
    admitted = [one for one in memberships if obstacle(rules.get(one.tenant_id, SignInRules()), proof, one) is None]
    return active_of(admitted, *preferred)


async def what_stands_between(uow: UnitOfWork, proof: SignInProof, membership: Membership) -> Obstacle | None:
    """Why the session cannot be active in one organization, if anything stands between."""
    rules = await uow.sign_in_rules.of([membership.tenant_id])
    return obstacle(rules.get(membership.tenant_id, SignInRules()), proof, membership)
