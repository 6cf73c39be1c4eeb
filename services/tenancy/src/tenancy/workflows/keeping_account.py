"""What a signed-in person changes about their account, and what a mailed link changes: passwords are hashed between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

from tenancy.domain.attempts import subject
from tenancy.domain.passwords import weakness
from tenancy.domain.people import User
from tenancy.errors import WeakPassword, WrongPassword
from tenancy.usecases.mail_on_request import request_password_reset, resend_verification
from tenancy.usecases.second_factor import find_person
from tenancy.usecases.set_password import person_of_reset, reset_password, set_password
from tenancy.workflows.signing_in import counted
from tenancy.workflows.tools import Tools


@asynccontextmanager
async def even_answer(lasting: timedelta) -> AsyncIterator[None]:
    """Take as long as said, whatever happens inside: how long an answer took shall tell nobody what was found.

    What took longer on a busy machine takes twice as long as said, or three times, and still tells hardly more.
    """
    began, step = asyncio.get_running_loop().time(), lasting.total_seconds()
    try:
        yield
    finally:
        await asyncio.sleep(step - (asyncio.get_running_loop().time() - began) % step)


async def mail_verification_again(tools: Tools, email: str) -> None:
    """Send the link again, if there is an account to confirm; after the answer, whose time then tells nothing."""
    async with tools.store.for_system("auth") as uow:
        lifetime = tools.settings.verification_lifetime
        await resend_verification(uow, tools.letters, email, tools.settings.limits, lifetime=lifetime)


async def mail_reset(tools: Tools, email: str) -> None:
    """Send a link for a new password, if there is an account; after the answer, as above.

    A process that ends in between sends none, and the person asks again.
    """
    async with tools.store.for_system("auth") as uow:
        lifetime = tools.settings.reset_lifetime
        await request_password_reset(uow, tools.letters, email, tools.settings.limits, lifetime=lifetime)


async def good_password(tools: Tools, password: str, email: str) -> None:
    """Refuse a password that is easily guessed or in somebody's hands.

    Raises:
        WeakPassword: see `tenancy.domain.passwords`.
    """
    reason = weakness(password, email) or ("breached" if await tools.breached.knows(password) else None)
    if reason:
        raise WeakPassword(reason=reason)


async def person_again(tools: Tools, user_id: UUID, password: str) -> User:
    """The signed-in person, who has said their password again: a found open window is not enough for what follows.

    Raises:
        TooManyTries: there have been too many.
        WrongPassword: it is not theirs.
    """
    tries = await counted(tools, (tools.settings.limits.account, subject("again", str(user_id))))
    async with tools.store.for_system("auth") as uow:
        user = await find_person(uow, user_id)
        held = await uow.users.credentials(user_id)
    right, _renewed = await tools.passwords.verify(password, held.password_hash if held else None)
    if not right:
        raise WrongPassword
    async with tools.store.for_system("auth") as uow:
        await tries.give_back(uow)
    return user


async def change_password(tools: Tools, user_id: UUID, session_id: UUID | None, current: str, password: str) -> None:
    """Set another password; every other session ends.

    Raises:
        TooManyTries, WrongPassword: as above.
        WeakPassword: the new one is not good enough.
    """
    user = await person_again(tools, user_id, current)
    await good_password(tools, password, user.email)
    password_hash = await tools.passwords.hash(password)
    async with tools.store.for_system("auth") as uow:
        await set_password(uow, tools.letters, user, password_hash, reason="password_change", keep=session_id)


async def finish_reset(tools: Tools, token: str, password: str) -> None:
    """Set a password by a mailed link; a refused password leaves the link unused.

    Raises:
        TokenNotFound, TokenExpired: the link is worth nothing.
        WeakPassword: the password is not good enough.
    """
    async with tools.store.for_system("auth") as uow:
        user = await person_of_reset(uow, token)
    await good_password(tools, password, user.email)
    password_hash = await tools.passwords.hash(password)
    async with tools.store.for_system("auth") as uow:
        await reset_password(uow, tools.letters, token, password_hash)


async def spread_person(tools: Tools, user_id: UUID) -> None:
    """Write a person's name and address, as they are now, into their memberships: fellow members see those."""
    async with tools.store.for_user(user_id) as mine:
        person = await mine.users.by_id(user_id)
        memberships = await mine.memberships.of_person(user_id)
    if person is None:
        return
    for membership in memberships:
        async with tools.store.for_tenant(membership.tenant_id) as uow:
            await uow.memberships.describe(user_id, email=person.email, full_name=person.full_name)
