"""`/api/auth/passkeys/`: the caller's passkeys, and signing in with one."""

from typing import Annotated
from uuid import UUID

from common.auth import Principal, public, requires_person
from fastapi import APIRouter, Response

from tenancy.api.dependencies import DeviceDep, ToolsDep
from tenancy.api.schemas.account import AgainIn
from tenancy.api.schemas.auth import TokensOut
from tenancy.api.schemas.passkeys import (
    NewPasskeyIn,
    PasskeyLoginIn,
    PasskeyNameIn,
    PasskeyOptionsOut,
    PasskeyOut,
    PasskeysOut,
)
from tenancy.errors import PasskeyNotFound, WrongCredentials
from tenancy.usecases import passkeys
from tenancy.usecases.second_factor import find_person
from tenancy.workflows.keeping_account import person_again

router = APIRouter(prefix="/api/auth/passkeys", tags=["auth"])


@router.get("/")
async def mine(tools: ToolsDep, who: Annotated[Principal, requires_person()]) -> PasskeysOut:
    """The caller's passkeys."""
    async with tools.store.for_system("auth") as uow:
        found = await uow.passkeys.of_person(who.user_id)
    return PasskeysOut(results=[PasskeyOut.model_validate(one) for one in found])


@router.post("/options/")
async def begin(wanted: AgainIn, tools: ToolsDep, who: Annotated[Principal, requires_person()]) -> PasskeyOptionsOut:
    """Begin adding a passkey: what the browser takes."""
    user = await person_again(tools, who.user_id, wanted.password)
    async with tools.store.for_system("auth") as uow:
        challenge_id, options = await passkeys.begin_adding(uow, tools.passkeys, user)
    return PasskeyOptionsOut(challenge_id=challenge_id, options=options)


@router.post("/", status_code=201)
async def add(
    wanted: NewPasskeyIn, tools: ToolsDep, device: DeviceDep, who: Annotated[Principal, requires_person()]
) -> PasskeyOut:
    """Add the passkey that the browser made."""
    async with tools.store.for_system("auth") as uow:
        user = await find_person(uow, who.user_id)
        made = await passkeys.add(
            uow, tools.passkeys, tools.opening(device), user, wanted.challenge_id, wanted.name, wanted.credential
        )
    return PasskeyOut.model_validate(made)


@router.patch("/{passkey_id}/")
async def rename(
    passkey_id: UUID, wanted: PasskeyNameIn, tools: ToolsDep, who: Annotated[Principal, requires_person()]
) -> PasskeyOut:
    """Name one of the caller's passkeys."""
    async with tools.store.for_system("auth") as uow:
        renamed = await uow.passkeys.rename(who.user_id, passkey_id, wanted.name)
    if renamed is None:
        raise PasskeyNotFound
    return PasskeyOut.model_validate(renamed)


@router.delete("/{passkey_id}/", status_code=204)
async def remove(
    passkey_id: UUID, tools: ToolsDep, device: DeviceDep, who: Annotated[Principal, requires_person()]
) -> Response:
    """Remove one of the caller's passkeys."""
    async with tools.store.for_system("auth") as uow:
        user = await find_person(uow, who.user_id)
        await passkeys.remove(uow, tools.opening(device), user, passkey_id)
    return Response(status_code=204)


@router.post("/login/options/", dependencies=[public()])
async def login_options(tools: ToolsDep) -> PasskeyOptionsOut:
    """Begin signing in with a passkey: what the browser takes. It names no account."""
    async with tools.store.for_system("auth") as uow:
        challenge_id, options = await passkeys.begin_signing_in(uow, tools.passkeys)
    return PasskeyOptionsOut(challenge_id=challenge_id, options=options)


@router.post("/login/", dependencies=[public()])
async def login(wanted: PasskeyLoginIn, tools: ToolsDep, device: DeviceDep) -> TokensOut:
    """Sign in with a passkey; its device has verified its holder, so nothing else is asked."""
    async with tools.store.for_system("auth") as uow:
        pair = await passkeys.sign_in_by_passkey(
            uow, tools.passkeys, tools.opening(device), wanted.challenge_id, wanted.credential
        )
    if pair is None:
        raise WrongCredentials
    return TokensOut.of(pair, int(tools.tokens.lifetime.total_seconds()))
