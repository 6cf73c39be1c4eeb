"""`/api/auth/totp/`: the caller's second factor, and proving it once more before something dangerous."""

from typing import Annotated
from uuid import UUID

from common.auth import Principal, requires_person
from fastapi import APIRouter, Response

from tenancy.api.dependencies import ToolsDep
from tenancy.api.schemas.account import (
    AgainIn,
    CodeIn,
    RecoveryCodesOut,
    SecretOut,
    SwitchOffIn,
    TotpCodeIn,
    TotpOut,
)
from tenancy.domain.attempts import subject
from tenancy.usecases import second_factor
from tenancy.usecases.steps.counting import Tries
from tenancy.usecases.steps.second_factor import Proof
from tenancy.workflows.keeping_account import person_again
from tenancy.workflows.signing_in import counted
from tenancy.workflows.tools import Tools

router = APIRouter(tags=["auth"])


@router.get("/api/auth/totp/")
async def state(tools: ToolsDep, who: Annotated[Principal, requires_person()]) -> TotpOut:
    """Whether the caller has a second factor."""
    async with tools.store.for_system("auth") as uow:
        user = await second_factor.find_person(uow, who.user_id)
        held = await uow.users.credentials(user.id)
        left = await uow.recovery_codes.left(user.id)
    enabled = held is not None and held.totp_sealed is not None
    return TotpOut(enabled=enabled, obligatory=bool(user.staff_roles), recovery_codes_left=left)


@router.post("/api/auth/totp/", status_code=201)
async def begin(wanted: AgainIn, tools: ToolsDep, who: Annotated[Principal, requires_person()]) -> SecretOut:
    """Begin a second factor: a secret for an authenticator application."""
    user = await person_again(tools, who.user_id, wanted.password)
    async with tools.store.for_system("auth") as uow:
        made = await second_factor.begin(uow, tools.sealer, user)
    return SecretOut(secret=made.secret, otpauth_uri=made.otpauth_uri)


@router.post("/api/auth/totp/confirm/")
async def confirm(
    wanted: TotpCodeIn, tools: ToolsDep, who: Annotated[Principal, requires_person()]
) -> RecoveryCodesOut:
    """Switch the second factor on by its first code."""
    tries = await _count(tools, who.user_id)
    async with tools.store.for_system("auth") as uow:
        user = await second_factor.find_person(uow, who.user_id)
        codes = await second_factor.switch_on(uow, tools.sealer, tools.letters, user, wanted.totp_code, who.session_id)
        await tries.give_back(uow)
    return RecoveryCodesOut(recovery_codes=codes)


@router.post("/api/auth/totp/disable/", status_code=204)
async def disable(wanted: SwitchOffIn, tools: ToolsDep, who: Annotated[Principal, requires_person()]) -> Response:
    """Switch the second factor off."""
    proof = wanted.proof.demanded()
    user = await person_again(tools, who.user_id, wanted.password)
    tries = await _count(tools, who.user_id)
    async with tools.store.for_system("auth") as uow:
        await second_factor.switch_off(uow, tools.sealer, tools.letters, user, proof)
        await tries.give_back(uow)
    return Response(status_code=204)


@router.post("/api/auth/totp/recovery-codes/")
async def renew(wanted: TotpCodeIn, tools: ToolsDep, who: Annotated[Principal, requires_person()]) -> RecoveryCodesOut:
    """Make new recovery codes; the old ones are worth nothing any more."""
    tries = await _count(tools, who.user_id)
    proof = Proof(totp_code=wanted.totp_code)
    async with tools.store.for_system("auth") as uow:
        user = await second_factor.find_person(uow, who.user_id)
        await second_factor.prove_again(uow, tools.sealer, tools.letters, user, proof)
        codes = await second_factor.new_recovery_codes(uow, user)
        await tries.give_back(uow)
    return RecoveryCodesOut(recovery_codes=codes)


@router.post("/api/auth/second-factor/", status_code=204)
async def prove(wanted: CodeIn, tools: ToolsDep, who: Annotated[Principal, requires_person()]) -> Response:
    """Prove the second factor once more in this session: what is dangerous wants it within 15 minutes."""
    proof = wanted.proof.demanded()
    tries = await _count(tools, who.user_id)
    async with tools.store.for_system("auth") as uow:
        user = await second_factor.find_person(uow, who.user_id)
        await second_factor.prove_again(uow, tools.sealer, tools.letters, user, proof)
        if who.session_id is not None:
            await uow.sessions.note_second_factor(who.session_id, uow.clock.now())
        await tries.give_back(uow)
    return Response(status_code=204)


async def _count(tools: Tools, user_id: UUID) -> Tries:
    return await counted(tools, (tools.settings.limits.code, subject("again", str(user_id))))
