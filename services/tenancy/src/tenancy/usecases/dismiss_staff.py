"""Take a person's part in the platform's staff away."""

from tenancy.domain.people import normalized_email
from tenancy.errors import StaffNotFound
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.usecases.steps.end_sessions import end_sessions


async def dismiss_staff(uow: UnitOfWork, email: str) -> None:
    """Take all staff roles; every session ends, and with it what he does in customers' names.

    His account stays, as a customer's: it may own organizations. `create_staff` hires him again.
    Needs `for_system("auth")`; leaves an audit row.

    Raises:
        StaffNotFound: nobody of the staff has that address.
    """
    address = normalized_email(email)
    known = await uow.users.by_email(address) if address else None
    if known is None or not known.staff_roles:
        raise StaffNotFound
    await uow.users.set(known.id, staff_roles=[], staff_dismissed_at=uow.clock.now())
    await end_sessions(uow, known.id, "staff_dismissed")
    await uow.audit(
        "staff.dismissed", str(known.id), actor="operator", before={"roles": sorted(map(str, known.staff_roles))}
    )
