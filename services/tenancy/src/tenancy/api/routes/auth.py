"""`/api/auth/`: accounts, sign-in, sessions; and the key set that verifies access tokens."""

from typing import Annotated, Any

from common.auth import Principal, public, requires_person
from common.web import LanguageDep
from fastapi import APIRouter

from tenancy.api.dependencies import DeviceDep, ToolsDep
from tenancy.api.schemas.auth import (
    AccessOut,
    LoginIn,
    RefreshIn,
    RegisterIn,
    RegisterOut,
    SecondStepIn,
    SwitchIn,
    TokensOut,
    UserIn,
    UserOut,
)
from tenancy.domain.people import Language
from tenancy.errors import InvalidRefreshToken, SessionEnded
from tenancy.usecases.refresh_session import refresh_session
from tenancy.usecases.register_person import checked_registration, register_person
from tenancy.usecases.second_factor import find_person
from tenancy.usecases.steps.second_factor import Proof
from tenancy.usecases.switch_organization import switch_organization
from tenancy.workflows.keeping_account import even_answer, good_password, spread_person
from tenancy.workflows.signing_in import sign_in_by_code, sign_in_by_password

router = APIRouter(tags=["auth"])


@router.post("/api/auth/register/", status_code=201, dependencies=[public()])
async def register(wanted: RegisterIn, tools: ToolsDep, preferred: LanguageDep) -> RegisterOut:
    """Open an account. A known address is answered alike, and its owner gets a mail."""
    language = wanted.language or Language(preferred)
    checked = checked_registration(wanted.email, wanted.full_name, language)
    await good_password(tools, wanted.password, checked.email)
    async with even_answer(tools.settings.even_answer):
        password_hash = await tools.passwords.hash(wanted.password)
        async with tools.store.for_system("auth") as uow:
            account_id = await register_person(
                uow, tools.letters, checked, password_hash, link_lifetime=tools.settings.verification_lifetime
            )
    return RegisterOut(id=account_id, email=checked.email)


@router.post("/api/auth/login/", dependencies=[public()])
async def login(claimed: LoginIn, tools: ToolsDep, device: DeviceDep) -> TokensOut:
    """Sign in: with a second factor either at once, or in a second step by the refusal's `challenge`."""
    proof = Proof(claimed.totp_code, claimed.recovery_code)
    pair = await sign_in_by_password(tools, device, claimed.email, claimed.password, proof)
    return TokensOut.of(pair, _seconds(tools))


@router.post("/api/auth/login/second-factor/", dependencies=[public()])
async def second_step(claimed: SecondStepIn, tools: ToolsDep, device: DeviceDep) -> TokensOut:
    """Sign in, second step: the code that was missing."""
    proof = Proof(claimed.totp_code, claimed.recovery_code).demanded()
    pair = await sign_in_by_code(tools, device, claimed.challenge, proof)
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
    return await _shown(tools, who)


@router.patch("/api/auth/user/")
async def change_user(wanted: UserIn, tools: ToolsDep, who: Annotated[Principal, requires_person()]) -> UserOut:
    """Change the caller's name or language; fellow members see the name at once."""
    changes = wanted.model_dump(exclude_none=True, mode="json")
    if changes:
        async with tools.store.for_user(who.user_id, writes=True) as uow:
            await uow.users.set(who.user_id, **changes)
    if "full_name" in changes:
        await spread_person(tools, who.user_id)
    return await _shown(tools, who)


@router.post("/api/auth/switch/")
async def switch(wanted: SwitchIn, tools: ToolsDep, who: Annotated[Principal, requires_person()]) -> AccessOut:
    """Make another of the caller's organizations the active one."""
    if who.session_id is None:
        raise SessionEnded
    async with tools.store.for_system("auth") as uow:
        token = await switch_organization(uow, tools.tokens, who.session_id, who.user_id, wanted.organization_id)
    return AccessOut(access_token=token, expires_in=_seconds(tools))


@router.get("/.well-known/jwks.json", dependencies=[public()])
async def jwks(tools: ToolsDep) -> dict[str, list[dict[str, Any]]]:
    """Public keys of access tokens (RFC 7517)."""
    return tools.tokens.jwks()


async def _shown(tools: ToolsDep, who: Principal) -> UserOut:
    async with tools.store.for_system("auth") as uow:
        found = await find_person(uow, who.user_id)
        held = await uow.users.credentials(found.id)
    return UserOut.of(
        found,
        who.active_tenant_id,
        who.roles,
        has_second_factor=held is not None and held.totp_sealed is not None,
    )


def _seconds(tools: ToolsDep) -> int:
    return int(tools.tokens.lifetime.total_seconds())
