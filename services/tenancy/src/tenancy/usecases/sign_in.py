"""Sign in: who claims to be whom, and the session that follows from a right answer."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from common.ids import uuid7

from tenancy.domain.attempts import Limits, subject
from tenancy.domain.links import Purpose
from tenancy.domain.people import Credentials, User, normalized_email
from tenancy.domain.secrets import digest, new_token
from tenancy.domain.sessions import Device, RefreshToken, Session
from tenancy.domain.sign_in_rules import SignInProof
from tenancy.errors import TokenExpired, TokenNotFound, WrongCredentials
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import AccessTokens, Letters, Sealer
from tenancy.usecases.steps.activation import active_membership
from tenancy.usecases.steps.counting import Tries
from tenancy.usecases.steps.one_time_links import make_link, open_link
from tenancy.usecases.steps.second_factor import Proof, prove

SECOND_STEP_LIFETIME = timedelta(minutes=5)
"""Time to find the telephone."""


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a signed-in client holds."""

    access_token: str
    refresh_token: str


@dataclass(frozen=True, slots=True)
class SecondStep:
    """The password was right and a code is wanted: `challenge` stands for the password meanwhile."""

    challenge: str


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody says that this is them. `tries` were counted; a right answer gives them back."""

    user: User | None
    credentials: Credentials | None
    tries: Tries


async def claim_account(uow: UnitOfWork, email: str, device: Device, limits: Limits) -> Claim:
    """Look the account of an address up, and count the try. Needs `for_system("auth")`.

    An unknown address is counted as a known one is. Where there have been too many tries, `tries.wait` says so: the
    count has to be committed although the caller is refused.
    """
    normalized = normalized_email(email) or email.lower()
    user = await uow.users.by_email(normalized)
    held = await uow.users.credentials(user.id) if user and user.disabled_at is None else None
    familiar = user is not None and await uow.sessions.knows(user.id, device.address)
    counted = subject(normalized, device.address) if familiar else subject(normalized)
    tries = await Tries.take(uow, (limits.account, counted), (limits.address, subject(device.address)))
    return Claim(user if held else None, held, tries)


@dataclass(frozen=True, slots=True)
class Opening:
    """What a session is begun with."""

    tokens: AccessTokens
    sealer: Sealer
    letters: Letters
    lifetime: timedelta
    device: Device


async def sign_in(
    uow: UnitOfWork, opening: Opening, claim: Claim, proof: Proof, *, renewed_hash: str | None
) -> TokenPair | SecondStep:
    """Begin a session for a person whose password was right. Needs `for_system("auth")`.

    Raises:
        WrongCredentials: a code was sent and is wrong or was used before, or the account was disabled meanwhile.
    """
    user = await uow.users.by_id(claim.user.id) if claim.user else None
    held = await uow.users.credentials(user.id, lock=True) if user and user.disabled_at is None else None
    if user is None or held is None or (user.staff_roles and held.totp_sealed is None):
        raise WrongCredentials
    if claim.credentials is None or held.password_hash != claim.credentials.password_hash:
        raise WrongCredentials
    if held.totp_sealed is not None and proof.given:
        await prove(uow, opening.sealer, opening.letters, user, proof)
    await claim.tries.give_back(uow)
    if renewed_hash is not None:
        await uow.users.set_credentials(user.id, password_hash=renewed_hash)
    if held.totp_sealed is not None and not proof.given:
        return SecondStep(await make_link(uow, user.id, Purpose.SECOND_STEP, user.email, SECOND_STEP_LIFETIME))
    second_factor_at = uow.clock.now() if held.totp_sealed is not None else None
    return await start_session(uow, opening, user, SignInProof(second_factor_at))


async def subject_of_challenge(uow: UnitOfWork, challenge: str, device: Device) -> bytes:
    """Under what guesses at a challenge's code are counted; one that does not exist is counted by itself."""
    link = await uow.links.unused(digest(challenge), Purpose.SECOND_STEP)
    if link is None:
        return digest(challenge)
    familiar = await uow.sessions.knows(link["user_id"], device.address)
    return subject("code", str(link["user_id"]), device.address if familiar else "")


async def sign_in_second_step(uow: UnitOfWork, opening: Opening, challenge: str, proof: Proof) -> TokenPair:
    """Begin the session that a code was missing for. Needs `for_system("auth")`.

    Raises:
        WrongCredentials: the challenge is unknown, used or too old, or the code is wrong.
    """
    try:
        link = await open_link(uow, challenge, Purpose.SECOND_STEP)
    except (TokenNotFound, TokenExpired):
        raise WrongCredentials from None
    user = await uow.users.by_id(link["user_id"])
    if user is None or user.disabled_at is not None:
        raise WrongCredentials
    await prove(uow, opening.sealer, opening.letters, user, proof)
    await uow.links.use(link["id"], uow.clock.now())
    return await start_session(uow, opening, user, SignInProof(uow.clock.now()))


async def start_session(uow: UnitOfWork, opening: Opening, user: User, proof: SignInProof) -> TokenPair:
    """Begin a session for a person who has proved everything that was asked. Needs `for_system("auth")`."""
    now = uow.clock.now()
    active = await active_membership(uow, user.id, proof, proof.sso_tenant_id, user.last_tenant_id)
    session = Session(
        id=uuid7(),
        user_id=user.id,
        active_tenant_id=active.tenant_id if active else None,
        created_at=now,
        expires_at=now + opening.lifetime,
        device=opening.device,
        last_used_at=now,
        second_factor_at=proof.second_factor_at,
        sso_tenant_id=proof.sso_tenant_id,
    )
    await uow.sessions.add(session)
    refresh = await issue_refresh_token(uow, session, now)
    return TokenPair(opening.tokens.sign(user, session.id, active), refresh)


async def issue_refresh_token(uow: UnitOfWork, session: Session, now: datetime) -> str:
    """Make one more refresh token of a session; only its hash is stored."""
    token = new_token()
    kept = RefreshToken(uuid7(), session.id, session.user_id, session.expires_at)
    await uow.sessions.add_token(kept, digest(token), now)
    return token
