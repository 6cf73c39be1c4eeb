"""`/api/auth/`: accounts, sign-in, sessions; and the key set that verifies access tokens."""

from typing import Annotated, Any

from common.auth import Principal, public, requires_person
from common.web import LanguageDep
from fastapi import APIRouter, Response

from tenancy.api.dependencies import DeviceDep, ToolsDep
from tenancy.api.schemas.auth import (
    AccessOut,
    LoginIn,
    RefreshIn,
    RegisterIn,
    RegisterOut,
    SwitchIn,
    TokensOut,
    UserOut,
    VerifyEmailIn,
)
from tenancy.domain.people import Language
from tenancy.errors import InvalidRefreshToken, SessionEnded, WrongCredentials
from tenancy.usecases.refresh_session import refresh_session
from tenancy.usecases.register_person import checked_registration, register_person
from tenancy.usecases.sign_in import find_account, start_session
from tenancy.usecases.switch_organization import switch_organization
from tenancy.usecases.verify_email import verify_email

router = APIRouter(tags=["auth"])


@router.post("/api/auth/register/", status_code=201, dependencies=[public()])
async def register(wanted: RegisterIn, tools: ToolsDep, preferred: LanguageDep) -> RegisterOut:
    """Open an account. A known address is answered alike, and its owner gets a mail."""
    language = wanted.language or Language(preferred)
    checked = checked_registration(wanted.email, wanted.password, wanted.full_name, language)
    password_hash = await tools.passwords.hash(wanted.password)
    async with tools.store.for_system("auth") as uow:
        account_id = await register_person(
            uow, tools.letters, checked, password_hash, link_lifetime=tools.settings.verification_lifetime
        )
    return RegisterOut(id=account_id, email=checked.email)


@router.post("/api/auth/verify-email/", status_code=204, dependencies=[public()])
async def verify(wanted: VerifyEmailIn, tools: ToolsDep) -> Response:
    """Confirm an address by the mailed link."""
    async with tools.store.for_system("auth") as uow:
        await verify_email(uow, wanted.token)
    return Response(status_code=204)


@router.post("/api/auth/login/", dependencies=[public()])
async def login(claimed: LoginIn, tools: ToolsDep, device: DeviceDep) -> TokensOut:
    """Sign in. The password is checked between two transactions, for it takes a while."""
    async with tools.store.for_system("auth") as uow:
        account = await find_account(uow, claimed.email)
    right, renewed = await tools.passwords.verify(claimed.password, account[1].password_hash if account else None)
    if account is None or not right:
        raise WrongCredentials
    async with tools.store.for_system("auth") as uow:
        pair = await start_session(
            uow,
            tools.tokens,
            tools.sealer,
            account[0],
            device=device,
            totp_code=claimed.totp_code,
            renewed_hash=renewed,
            lifetime=tools.settings.refresh_lifetime,
        )
    return TokensOut.of(pair, _seconds(tools))


@router.post("/api/auth/refresh/", dependencies=[public()])
async def refresh(presented: RefreshIn, tools: ToolsDep, device: DeviceDep) -> TokensOut:
    """Exchange a refresh token for a new pair; an old one that turns up again ends the session."""
    async with tools.store.for_system("auth") as uow:
        pair = await refresh_session(
            uow, tools.tokens, presented.refresh_token, device=device, grace=tools.settings.refresh_grace
        )
    if pair is None:
        raise InvalidRefreshToken
    return TokensOut.of(pair, _seconds(tools))


@router.get("/api/auth/user/")
async def user(tools: ToolsDep, who: Annotated[Principal, requires_person()]) -> UserOut:
    """The caller."""
    async with tools.store.for_user(who.user_id) as uow:
        found = await uow.users.by_id(who.user_id)
    if found is None:
        raise SessionEnded
    return UserOut.of(found, who.active_tenant_id, who.roles)


@router.post("/api/auth/switch/")
async def switch(wanted: SwitchIn, tools: ToolsDep, who: Annotated[Principal, requires_person()]) -> AccessOut:
    """Make another of the caller's organizations the active one."""
    if who.session_id is None:
        raise SessionEnded
    async with tools.store.for_user(who.user_id, writes=True) as uow:
        token = await switch_organization(uow, tools.tokens, who.session_id, who.user_id, wanted.organization_id)
    return AccessOut(access_token=token, expires_in=_seconds(tools))


@router.get("/.well-known/jwks.json", dependencies=[public()])
async def jwks(tools: ToolsDep) -> dict[str, list[dict[str, Any]]]:
    """Public keys of access tokens (RFC 7517)."""
    return tools.tokens.jwks()


def _seconds(tools: ToolsDep) -> int:
    return int(tools.tokens.lifetime.total_seconds())
