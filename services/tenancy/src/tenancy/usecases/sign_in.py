"""Sign in: who claims to be whom, and the session that follows from a right answer."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from common.ids import uuid7

from tenancy.domain.membership import active_of
from tenancy.domain.people import Credentials, User, normalized_email
from tenancy.domain.secrets import digest, new_token
from tenancy.domain.sessions import Device, RefreshToken, Session
from tenancy.domain.totp import matching_step
from tenancy.errors import TotpRequired, WrongCredentials
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import AccessTokens, Sealer


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a signed-in client holds."""

    access_token: str
    refresh_token: str


async def find_account(uow: UnitOfWork, email: str) -> tuple[User, Credentials] | None:
    """The account of an address, if there is one that may sign in. Needs `for_system("auth")`."""
    normalized = normalized_email(email)
    user = await uow.users.by_email(normalized) if normalized else None
    held = await uow.users.credentials(user.id) if user and user.disabled_at is None else None
    return (user, held) if user and held else None


async def start_session(
    uow: UnitOfWork,
    tokens: AccessTokens,
    sealer: Sealer,
    user: User,
    *,
    device: Device,
    totp_code: str | None,
    renewed_hash: str | None,
    lifetime: timedelta,
) -> TokenPair:
    """Begin a session for a person whose password was right. Needs `for_system("auth")`.

    Raises:
        TotpRequired: the account has a second factor and no code was sent.
        WrongCredentials: the code is wrong or was used before.
    """
    proved = await _use_code(uow, sealer, user, totp_code)
    if renewed_hash is not None:
        await uow.users.set_credentials(user.id, password_hash=renewed_hash)
    now = uow.clock.now()
    active = active_of(await uow.memberships.of_person(user.id), user.last_tenant_id)
    session = Session(
        id=uuid7(),
        user_id=user.id,
        active_tenant_id=active.tenant_id if active else None,
        created_at=now,
        expires_at=now + lifetime,
        device=device,
        last_used_at=now,
        second_factor_at=now if proved else None,
    )
    await uow.sessions.add(session)
    refresh = await issue_refresh_token(uow, session, now)
    return TokenPair(tokens.sign(user, session.id, active), refresh)


async def _use_code(uow: UnitOfWork, sealer: Sealer, user: User, code: str | None) -> bool:
    """Use up the one-time code of an account that has a second factor; False for one that has none."""
    held = await uow.users.credentials(user.id, lock=True)
    if held is None or (user.staff_roles and held.totp_sealed is None):
        raise WrongCredentials
    if held.totp_sealed is None:
        return False
    if code is None:
        raise TotpRequired
    step = matching_step(sealer.open(held.totp_sealed, user.id), code, uow.clock.now(), held.totp_last_step)
    if step is None:
        raise WrongCredentials
    await uow.users.set_credentials(user.id, totp_last_step=step)
    return True


async def issue_refresh_token(uow: UnitOfWork, session: Session, now: datetime) -> str:
    """Make one more refresh token of a session; only its hash is stored."""
    token = new_token()
    kept = RefreshToken(uuid7(), session.id, session.user_id, session.expires_at)
    await uow.sessions.add_token(kept, digest(token), now)
    return token
