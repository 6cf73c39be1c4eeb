"""Mails that anybody can ask for by naming an address: one more verification link, a link for a new password.

The caller learns nothing from it, and nobody's mailbox is filled: there is a limit for each account.
"""

from datetime import timedelta

from common.ids import uuid7

from tenancy.domain.attempts import Limits, subject
from tenancy.domain.links import Purpose
from tenancy.domain.people import User, normalized_email
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import Letters
from tenancy.usecases.steps.counting import Tries
from tenancy.usecases.steps.one_time_links import make_link
from tenancy.usecases.steps.verification import mail_verification


async def resend_verification(
    uow: UnitOfWork, letters: Letters, email: str, limits: Limits, *, lifetime: timedelta
) -> None:
    """Send the link again to an address that has an account and is not confirmed. Needs `for_system("auth")`."""
    user = await _mailable(uow, email, limits)
    if user is not None and user.email_verified_at is None:
        await mail_verification(uow, letters, user, lifetime)


async def request_password_reset(
    uow: UnitOfWork, letters: Letters, email: str, limits: Limits, *, lifetime: timedelta
) -> None:
    """Send a link for a new password to an address that has an account. Needs `for_system("auth")`."""
    user = await _mailable(uow, email, limits)
    if user is None:
        return
    token = await make_link(uow, user.id, Purpose.RESET_PASSWORD, user.email, lifetime)
    await uow.send_mail(
        letters.write(
            "reset_password",
            to=user.email,
            key=f"reset:{uuid7()}",
            language=user.language,
            person=user.full_name,
            token=token,
        )
    )


async def _mailable(uow: UnitOfWork, email: str, limits: Limits) -> User | None:
    normalized = normalized_email(email)
    if normalized is None:
        return None
    tries = await Tries.take(uow, (limits.mail, subject(normalized)))
    user = await uow.users.by_email(normalized)
    return user if user and user.disabled_at is None and tries.wait is None else None
