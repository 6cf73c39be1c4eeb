"""Give a person of the platform an account with a second factor."""

from collections.abc import Iterable

from common.ids import uuid7

from tenancy.domain.people import Credentials, Language, User, normalized_email
from tenancy.domain.roles import StaffRole
from tenancy.errors import EmailTaken, InvalidEmail
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import Sealer
from tenancy.usecases.steps.end_sessions import end_sessions


async def create_staff(
    uow: UnitOfWork,
    sealer: Sealer,
    *,
    email: str,
    roles: Iterable[StaffRole],
    password_hash: str,
    totp_secret: str,
) -> User:
    """Create a staff account, or give an existing one new roles, password and second factor; its sessions end.

    Needs `for_system("auth")`; leaves an audit row.

    Raises:
        InvalidEmail: it is no address.
        EmailTaken: a customer has it.
    """
    address = normalized_email(email)
    if address is None:
        raise InvalidEmail
    granted = frozenset(roles)
    known = await uow.users.by_email(address)
    if known is not None and not known.staff_roles:
        raise EmailTaken
    now = uow.clock.now()
    user = known or User(
        uuid7(), address, address.partition("@")[0], Language.FR, now, email_verified_at=now, staff_roles=granted
    )
    sealed = sealer.seal(totp_secret, user.id)
    if known is None:
        await uow.users.add(user)
        await uow.users.add_credentials(Credentials(user.id, password_hash, sealed))
    else:
        await uow.users.set(user.id, staff_roles=sorted(granted))
        await uow.users.set_credentials(user.id, password_hash=password_hash, totp_sealed=sealed, totp_last_step=None)
        await end_sessions(uow, user.id, "staff_renewed")
    await uow.audit("staff.created", str(user.id), actor="operator", details={"roles": sorted(granted)})
    return user
