"""Another address for an account: the old one has to let go, the new one has to be the person's."""

from datetime import timedelta
from uuid import UUID

from common.ids import uuid7

from tenancy.domain.links import Purpose
from tenancy.domain.people import User, normalized_email
from tenancy.errors import EmailTaken, InvalidEmail, TokenNotFound
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import Letters
from tenancy.usecases.steps.one_time_links import make_link, open_link


async def request_email_change(
    uow: UnitOfWork, letters: Letters, user: User, new_email: str, *, lifetime: timedelta
) -> None:
    """Note the wish and mail a link to both addresses. Needs `for_system("auth")`.

    The answer is the same for an address that has an account already: its owner gets a mail, and no link.

    Raises:
        InvalidEmail: it is no address, or the one that the account has.
    """
    wanted = normalized_email(new_email)
    if wanted is None or wanted == user.email:
        raise InvalidEmail
    now, change_id = uow.clock.now(), uuid7()
    await uow.email_changes.wish(user.id, change_id, wanted, now)
    await uow.links.void(user.id, now, Purpose.LEAVE_EMAIL, Purpose.TAKE_EMAIL)
    if user.email_verified_at is None:
        # An address that was never confirmed has nothing to let go.
        await uow.email_changes.confirm(user.id, left_at=now)
    else:
        leave = await make_link(uow, user.id, Purpose.LEAVE_EMAIL, user.email, lifetime, about=change_id)
        await _mail(uow, letters, "leave_email", user, to=user.email, token=leave, new_email=wanted)
    owner = await uow.users.by_email(wanted)
    if owner is not None:
        key = f"already-registered:{owner.id}:{now:%Y-%m-%d}"
        await uow.send_mail(
            letters.write(
                "already_registered", to=owner.email, key=key, language=owner.language, person=owner.full_name
            )
        )
        return
    take = await make_link(uow, user.id, Purpose.TAKE_EMAIL, wanted, lifetime, about=change_id)
    await _mail(uow, letters, "take_email", user, to=wanted, token=take, new_email=wanted)


async def confirm_email_change(uow: UnitOfWork, letters: Letters, token: str) -> UUID | None:
    """Note that one address agreed; with the second the account changes. Needs `for_system("auth")`.

    Returns:
        The person, where the address is changed now.

    Raises:
        TokenNotFound: no such link, it was used, or another change was wished since.
        TokenExpired: it is too old.
        EmailTaken: somebody has registered with the new address meanwhile.
    """
    now = uow.clock.now()
    try:
        link, column = await open_link(uow, token, Purpose.TAKE_EMAIL), "taken_at"
    except TokenNotFound:
        link, column = await open_link(uow, token, Purpose.LEAVE_EMAIL), "left_at"
    user = await uow.users.by_id(link["user_id"])
    wish = await uow.email_changes.get(link["user_id"])
    if user is None or wish is None or wish["change_id"] != link["about_id"]:
        raise TokenNotFound
    await uow.links.use(link["id"], now)
    await uow.email_changes.confirm(user.id, **{column: now})
    agreed = dict(wish) | {column: now}
    if agreed["left_at"] is None or agreed["taken_at"] is None:
        return None
    await _change(uow, letters, user, wish["new_email"])
    return user.id


async def _change(uow: UnitOfWork, letters: Letters, user: User, new_email: str) -> None:
    if not await uow.users.take_email(user.id, new_email, uow.clock.now()):
        raise EmailTaken
    await uow.audit("email.changed", str(user.id), actor=user.id)
    for address in (user.email, new_email):
        await _mail(uow, letters, "email_changed", user, to=address, new_email=new_email)


async def _mail(uow: UnitOfWork, letters: Letters, name: str, user: User, *, to: str, **values: object) -> None:
    await uow.send_mail(
        letters.write(name, to=to, key=f"{name}:{uuid7()}", language=user.language, person=user.full_name, **values)
    )
