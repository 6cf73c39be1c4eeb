"""Proving a second factor: a one-time code of the person's application, or a recovery code."""

from dataclasses import dataclass
from typing import Self

from tenancy.domain.people import Credentials, User
from tenancy.domain.recovery import normalized_code
from tenancy.domain.secrets import digest
from tenancy.domain.totp import matching_step
from tenancy.errors import CodeMissing, WrongCredentials
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import Letters, Sealer


@dataclass(frozen=True, slots=True)
class Proof:
    """What somebody offers; one of both."""

    totp_code: str | None = None
    recovery_code: str | None = None

    @property
    def given(self) -> bool:
        return self.totp_code is not None or self.recovery_code is not None

    def demanded(self) -> Self:
        """Itself.

        Raises:
            CodeMissing: neither was offered.
        """
        if not self.given:
            raise CodeMissing
        return self


async def prove(uow: UnitOfWork, sealer: Sealer, letters: Letters, user: User, proof: Proof) -> None:
    """Use up what was offered. Needs `for_system("auth")`; the account's credentials stay locked, so once is once.

    Raises:
        WrongCredentials: it is wrong, it was used before, or the account has no second factor.
    """
    held = await uow.users.credentials(user.id, lock=True)
    if held is None or held.totp_sealed is None:
        raise WrongCredentials
    if proof.recovery_code is not None:
        await _use_recovery_code(uow, letters, user, proof.recovery_code)
    elif proof.totp_code is not None:
        await _use_totp_code(uow, sealer, user, held, held.totp_sealed, proof.totp_code)
    else:
        raise WrongCredentials


async def _use_totp_code(
    uow: UnitOfWork, sealer: Sealer, user: User, held: Credentials, sealed: bytes, code: str
) -> None:
    step = matching_step(sealer.open(sealed, user.id), code, uow.clock.now(), held.totp_last_step)
    if step is None:
        raise WrongCredentials
    await uow.users.set_credentials(user.id, totp_last_step=step)


async def _use_recovery_code(uow: UnitOfWork, letters: Letters, user: User, code: str) -> None:
    now = uow.clock.now()
    if not await uow.recovery_codes.use(user.id, digest(normalized_code(code)), now):
        raise WrongCredentials
    left = await uow.recovery_codes.left(user.id)
    await uow.audit("recovery_code.used", str(user.id), actor=user.id, details={"left": left})
    await uow.send_mail(
        letters.write(
            "recovery_code_used",
            to=user.email,
            key=f"recovery:{user.id}:{left}:{now.isoformat()}",
            language=user.language,
            person=user.full_name,
            left=left,
        )
    )
