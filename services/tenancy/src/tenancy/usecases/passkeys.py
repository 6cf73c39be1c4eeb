"""Passkeys of a person: added, named, removed, and signed in with."""

from typing import Any
from uuid import UUID

from common.ids import uuid7

from tenancy.domain.passkeys import CHALLENGE_LIFETIME, MOST_PASSKEYS, Passkey
from tenancy.domain.people import User
from tenancy.domain.sign_in_rules import SignInProof
from tenancy.errors import PasskeyExists, PasskeyNotFound, PasskeyRefused, TooManyPasskeys
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import PasskeyCeremonies
from tenancy.usecases.sign_in import Opening, TokenPair, start_session


async def begin_adding(uow: UnitOfWork, ceremonies: PasskeyCeremonies, user: User) -> tuple[UUID, dict[str, Any]]:
    """A challenge for one more passkey. Needs `for_system("auth")`.

    Raises:
        TooManyPasskeys: the person has enough.
    """
    existing = await uow.passkeys.of_person(user.id)
    if len(existing) >= MOST_PASSKEYS:
        raise TooManyPasskeys(limit=MOST_PASSKEYS)
    challenge, options = ceremonies.registration(user, existing)
    return await _keep(uow, challenge, user.id), options


async def add(
    uow: UnitOfWork,
    ceremonies: PasskeyCeremonies,
    opening: Opening,
    user: User,
    challenge_id: UUID,
    name: str,
    credential: dict[str, Any],
) -> Passkey:
    """Add the passkey that the person's device made. Needs `for_system("auth")`.

    Raises:
        PasskeyRefused: the challenge is not theirs, was used or is too old, or the answer does not fit it.
        PasskeyExists: it is registered already.
    """
    now = uow.clock.now()
    challenge = await uow.passkeys.take_challenge(challenge_id, user.id, now)
    if challenge is None:
        raise PasskeyRefused
    made = ceremonies.registered(credential, challenge)
    passkey = Passkey(uuid7(), user.id, made.credential_id, made.public_key, made.sign_count, name, now)
    if not await uow.passkeys.add(passkey):
        raise PasskeyExists
    await _tell(uow, opening, user, "passkey_added", passkey)
    return passkey


async def remove(uow: UnitOfWork, opening: Opening, user: User, passkey_id: UUID) -> None:
    """Remove one of the person's passkeys. Needs `for_system("auth")`.

    Raises:
        PasskeyNotFound: there is none, or it is somebody else's.
    """
    gone = await uow.passkeys.remove(user.id, passkey_id)
    if gone is None:
        raise PasskeyNotFound
    await _tell(uow, opening, user, "passkey_removed", gone)


async def begin_signing_in(uow: UnitOfWork, ceremonies: PasskeyCeremonies) -> tuple[UUID, dict[str, Any]]:
    """A challenge for anybody. Needs `for_system("auth")`."""
    challenge, options = ceremonies.authentication()
    return await _keep(uow, challenge, None), options


async def sign_in_by_passkey(
    uow: UnitOfWork,
    ceremonies: PasskeyCeremonies,
    opening: Opening,
    challenge_id: UUID,
    credential: dict[str, Any],
) -> TokenPair | None:
    """Begin a session for whoever holds the passkey; None where anything does not fit. Needs `for_system("auth")`.

    The device has verified its holder, so this is two factors in one. The challenge is used up by whatever comes:
    that has to be committed although the caller is refused, so None is returned here and the edge raises.
    """
    now = uow.clock.now()
    challenge = await uow.passkeys.take_challenge(challenge_id, None, now)
    if challenge is None:
        return None
    try:
        passkey = await uow.passkeys.by_credential(ceremonies.credential_id(credential))
        count = ceremonies.signed(credential, challenge, passkey) if passkey else 0
    except PasskeyRefused:
        return None
    user = await uow.users.by_id(passkey.user_id) if passkey else None
    if passkey is None or user is None or user.disabled_at is not None:
        return None
    await uow.passkeys.used(passkey.id, count, now)
    return await start_session(uow, opening, user, SignInProof(second_factor_at=now))


async def _keep(uow: UnitOfWork, challenge: bytes, user_id: UUID | None) -> UUID:
    challenge_id = uuid7()
    await uow.passkeys.challenge(challenge_id, challenge, user_id, uow.clock.now() + CHALLENGE_LIFETIME)
    return challenge_id


async def _tell(uow: UnitOfWork, opening: Opening, user: User, name: str, passkey: Passkey) -> None:
    await uow.audit(f"{name}.done", str(passkey.id), actor=user.id)
    await uow.send_mail(
        opening.letters.write(
            name,
            to=user.email,
            key=f"{name}:{passkey.id}",
            language=user.language,
            person=user.full_name,
            passkey=passkey.name,
        )
    )
