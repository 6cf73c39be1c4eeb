"""Signing in by password: look up, hash in a thread of its own, begin the session."""

from tenancy.domain.attempts import Limit, subject
from tenancy.domain.sessions import Device
from tenancy.errors import TooManyTries, TotpRequired, WrongCredentials
from tenancy.usecases.sign_in import (
    SecondStep,
    TokenPair,
    claim_account,
    sign_in,
    sign_in_second_step,
    subject_of_challenge,
)
from tenancy.usecases.steps.counting import Tries
from tenancy.usecases.steps.second_factor import Proof
from tenancy.workflows.tools import Tools


async def sign_in_by_password(tools: Tools, device: Device, email: str, password: str, proof: Proof) -> TokenPair:
    """Sign in, in one step or as far as the second.

    Raises:
        TooManyTries: there have been too many for this account or from this address.
        WrongCredentials: anything was wrong.
        TotpRequired: a code is missing; the answer carries what the second step goes on with.
    """
    async with tools.store.for_system("auth") as uow:
        claim = await claim_account(uow, email, device, tools.settings.limits)
    if claim.tries.wait is not None:
        raise TooManyTries(retry_after=claim.tries.wait)
    stored = claim.credentials.password_hash if claim.credentials else None
    right, renewed = await tools.passwords.verify(password, stored)
    if not right:
        raise WrongCredentials
    async with tools.store.for_system("auth") as uow:
        outcome = await sign_in(uow, tools.opening(device), claim, proof, renewed_hash=renewed)
    if isinstance(outcome, SecondStep):
        raise TotpRequired(challenge=outcome.challenge)
    return outcome


async def sign_in_by_code(tools: Tools, device: Device, challenge: str, proof: Proof) -> TokenPair:
    """Go on with the second step. Codes are counted by person: a new challenge brings no new guesses.

    Raises:
        TooManyTries, WrongCredentials: as above.
    """
    limits = tools.settings.limits
    async with tools.store.for_system("auth") as uow:
        guessed_for = await subject_of_challenge(uow, challenge, device)
    tries = await counted(tools, (limits.code, guessed_for), (limits.address, subject(device.address)))
    async with tools.store.for_system("auth") as uow:
        pair = await sign_in_second_step(uow, tools.opening(device), challenge, proof)
        await tries.give_back(uow)
    return pair


async def counted(tools: Tools, *keys: tuple[Limit, bytes]) -> Tries:
    """Count a try in a transaction of its own, which stays whatever becomes of the try.

    Raises:
        TooManyTries: there have been too many.
    """
    async with tools.store.for_system("auth") as uow:
        tries = await Tries.take(uow, *keys)
    if tries.wait is not None:
        raise TooManyTries(retry_after=tries.wait)
    return tries
