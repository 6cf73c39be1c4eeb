"""Give a person of the platform an account with a second factor."""

from collections.abc import Iterable

from common.ids import uuid7

from tenancy.domain.links import Purpose
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
    """Create a staff account, or give one that is or was of the staff new roles, password and second factor.

    Nothing that opened the account before opens it after: passkeys, recovery codes and mailed links are void, and its
    sessions end. Needs `for_system("auth")`; leaves an audit row.

    Raises:
        InvalidEmail: it is no address.
        EmailTaken: a customer has it, who was never of the staff.
    """
    address = normalized_email(email)
    if address is None:
        raise InvalidEmail
    granted = frozenset(roles)
    known = await uow.users.by_email(address)
    if known is not None and not known.staff_roles and known.staff_dismissed_at is None:
        raise EmailTaken
    now = uow.clock.now()
    user = known or User(
        uuid7(), address, address.partition("@")[0], Language.FR, now, email_verified_at=now, staff_roles=granted
    )
    sealed = sealer.seal(totp_secret, user.id)
    if known is None:
        if not await uow.users.add(user):  # somebody has registered with it meanwhile
            raise EmailTaken
        await uow.users.add_credentials(Credentials(user.id, password_hash, sealed))
    else:
        await uow.users.set(user.id, staff_roles=sorted(granted), staff_dismissed_at=None)
        await uow.users.set_credentials(
            user.id,
            password_hash=password_hash,
            password_set_at=now,
            totp_sealed=sealed,
            totp_last_step=None,
            totp_pending=None,
        )
        await uow.passkeys.remove_all(user.id)
        await uow.recovery_codes.replace(user.id, ())
        await uow.links.void(user.id, now, *Purpose)
        await end_sessions(uow, user.id, "staff_renewed")
    before = {"roles": sorted(known.staff_roles)} if known else None
    await uow.audit(_act(known), str(user.id), actor="operator", before=before, after={"roles": sorted(granted)})
    return user


def _act(known: User | None) -> str:
    if known is None:
        return "staff.created"
    return "staff.renewed" if known.staff_roles else "staff.rehired"
