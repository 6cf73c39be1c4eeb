"""The second factor of an account: begun with a secret, switched on by a first code, switched off by a last one."""

from dataclasses import dataclass
from uuid import UUID

from common.ids import uuid7

from tenancy.domain.people import User
from tenancy.domain.recovery import new_codes, normalized_code
from tenancy.domain.secrets import digest
from tenancy.domain.totp import matching_step, new_secret, provisioning_uri
from tenancy.errors import (
    SecondFactorExists,
    SecondFactorMissing,
    SecondFactorObligatory,
    SessionEnded,
    WrongCode,
    WrongCredentials,
)
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import Letters, Sealer
from tenancy.usecases.steps.second_factor import Proof, prove


@dataclass(frozen=True, slots=True)
class NewSecret:
    """What an authenticator application takes; shown once."""

    secret: str
    otpauth_uri: str


async def begin(uow: UnitOfWork, sealer: Sealer, user: User) -> NewSecret:
    """Make a secret that counts for nothing yet. Needs `for_system("auth")`.

    Raises:
        SecondFactorExists: there is one.
    """
    held = await uow.users.credentials(user.id, lock=True)
    if held is None or held.totp_sealed is not None:
        raise SecondFactorExists
    secret = new_secret()
    await uow.users.set_credentials(user.id, totp_pending=sealer.seal(secret, user.id))
    return NewSecret(secret, provisioning_uri(secret, user.email))


async def switch_on(
    uow: UnitOfWork, sealer: Sealer, letters: Letters, user: User, code: str, session_id: UUID | None
) -> list[str]:
    """Switch it on by the first code; return the recovery codes, which are shown once. Needs `for_system("auth")`.

    Raises:
        SecondFactorMissing: it was not begun.
        WrongCode: the code does not belong to the secret.
    """
    held = await uow.users.credentials(user.id, lock=True)
    if held is None or held.totp_pending is None:
        raise SecondFactorMissing
    step = matching_step(sealer.open(held.totp_pending, user.id), code, uow.clock.now(), None)
    if step is None:
        raise WrongCode
    await uow.users.set_credentials(user.id, totp_sealed=held.totp_pending, totp_last_step=step, totp_pending=None)
    if session_id is not None:
        await uow.sessions.note_second_factor(session_id, uow.clock.now())
    await _tell(uow, letters, user, "second_factor_on")
    return await new_recovery_codes(uow, user)


async def switch_off(uow: UnitOfWork, sealer: Sealer, letters: Letters, user: User, proof: Proof) -> None:
    """Switch it off; recovery codes go with it. Needs `for_system("auth")`.

    Raises:
        SecondFactorObligatory: staff may not be without.
        WrongCode: the code is wrong or was used.
    """
    if user.staff_roles:
        raise SecondFactorObligatory
    await prove_again(uow, sealer, letters, user, proof)
    await uow.users.set_credentials(user.id, totp_sealed=None, totp_last_step=None, totp_pending=None)
    await uow.recovery_codes.replace(user.id, ())
    await _tell(uow, letters, user, "second_factor_off")


async def prove_again(uow: UnitOfWork, sealer: Sealer, letters: Letters, user: User, proof: Proof) -> None:
    """Let a signed-in person prove their second factor once more.

    Raises:
        SecondFactorMissing: there is none.
        WrongCode: the code is wrong or was used.
    """
    held = await uow.users.credentials(user.id)
    if held is None or held.totp_sealed is None:
        raise SecondFactorMissing
    try:
        await prove(uow, sealer, letters, user, proof)
    except WrongCredentials:
        raise WrongCode from None


async def new_recovery_codes(uow: UnitOfWork, user: User) -> list[str]:
    """Make ten codes in the place of all older ones; only their hashes are kept."""
    codes = new_codes()
    await uow.recovery_codes.replace(user.id, (digest(normalized_code(code)) for code in codes))
    await uow.audit("recovery_codes.made", str(user.id), actor=user.id)
    return codes


async def find_person(uow: UnitOfWork, user_id: UUID) -> User:
    """The signed-in person.

    Raises:
        SessionEnded: the account is gone or disabled.
    """
    user = await uow.users.by_id(user_id)
    if user is None or user.disabled_at is not None:
        raise SessionEnded
    return user


async def _tell(uow: UnitOfWork, letters: Letters, user: User, name: str) -> None:
    await uow.audit(f"{name}.done", str(user.id), actor=user.id)
    await uow.send_mail(
        letters.write(name, to=user.email, key=f"{name}:{uuid7()}", language=user.language, person=user.full_name)
    )
