"""`/api/auth/`: an account's address and password, by mailed links and by whoever is signed in."""

from typing import Annotated

from common.auth import Principal, public, requires_person
from common.persistence.export import MEDIA_TYPE, export_lines
from fastapi import APIRouter, Response
from starlette.background import BackgroundTask

from tenancy.api.dependencies import DeviceDep, ToolsDep
from tenancy.api.schemas.account import EmailIn, NewEmailIn, PasswordIn, ResetIn, TokenIn
from tenancy.domain.attempts import subject
from tenancy.domain.sessions import Device
from tenancy.persistence.export import ACCOUNT
from tenancy.settings import NAME
from tenancy.usecases.change_email import confirm_email_change, request_email_change
from tenancy.usecases.verify_email import verify_email
from tenancy.workflows.keeping_account import (
    change_password,
    even_answer,
    finish_reset,
    mail_reset,
    mail_verification_again,
    person_again,
    spread_person,
)
from tenancy.workflows.signing_in import counted
from tenancy.workflows.tools import Tools

router = APIRouter(tags=["auth"])


@router.get(
    "/api/auth/user/export/",
    response_class=Response,
    responses={200: {"content": {MEDIA_TYPE: {}}, "description": "One JSON object a line; the last one is `end`"}},
)
async def export(tools: ToolsDep, who: Annotated[Principal, requires_person()]) -> Response:
    """All that an account is: its person, sessions and memberships; what lets somebody in is left out."""
    async with tools.store.for_user(who.user_id, snapshot=True) as uow:
        head = {"service": NAME, "account": str(who.user_id)}
        lines = [piece async for piece in export_lines(uow.session, ACCOUNT, who.user_id, head)]
    disposition = 'attachment; filename="account.ndjson"'
    return Response(b"".join(lines), media_type=MEDIA_TYPE, headers={"content-disposition": disposition})


@router.post("/api/auth/verify-email/", status_code=204, dependencies=[public()])
async def verify(wanted: TokenIn, tools: ToolsDep) -> Response:
    """Confirm an address by the mailed link."""
    async with tools.store.for_system("auth") as uow:
        await verify_email(uow, wanted.token)
    return Response(status_code=204)


@router.post("/api/auth/verify-email/resend/", status_code=202, dependencies=[public()])
async def resend(wanted: EmailIn, tools: ToolsDep, device: DeviceDep) -> Response:
    """Send the link again, if the address has an account that is not confirmed; the answer goes out before we look."""
    await _count(tools, device)
    return Response(status_code=202, background=BackgroundTask(mail_verification_again, tools, wanted.email))


@router.post("/api/auth/password-reset/", status_code=202, dependencies=[public()])
async def ask_for_reset(wanted: EmailIn, tools: ToolsDep, device: DeviceDep) -> Response:
    """Mail a link for a new password, if the address has an account; the answer goes out before we look."""
    await _count(tools, device)
    return Response(status_code=202, background=BackgroundTask(mail_reset, tools, wanted.email))


@router.post("/api/auth/password-reset/confirm/", status_code=204, dependencies=[public()])
async def reset(wanted: ResetIn, tools: ToolsDep) -> Response:
    """Set a new password by the mailed link; every session ends."""
    await finish_reset(tools, wanted.token, wanted.password)
    return Response(status_code=204)


@router.post("/api/auth/password/", status_code=204)
async def password(wanted: PasswordIn, tools: ToolsDep, who: Annotated[Principal, requires_person()]) -> Response:
    """Set a new password; every other session ends."""
    await change_password(tools, who.user_id, who.session_id, wanted.current_password, wanted.password)
    return Response(status_code=204)


@router.post("/api/auth/email/", status_code=202)
async def new_email(wanted: NewEmailIn, tools: ToolsDep, who: Annotated[Principal, requires_person()]) -> Response:
    """Ask for another address; links go to the old and to the new one, and the account changes with the second."""
    user = await person_again(tools, who.user_id, wanted.password)
    await counted(tools, (tools.settings.limits.mail, subject("change", str(who.user_id))))
    async with even_answer(tools.settings.even_answer), tools.store.for_system("auth") as uow:
        await request_email_change(
            uow, tools.letters, user, wanted.email, lifetime=tools.settings.email_change_lifetime
        )
    return Response(status_code=202)


@router.post("/api/auth/email/confirm/", status_code=204, dependencies=[public()])
async def confirm_email(wanted: TokenIn, tools: ToolsDep) -> Response:
    """Confirm a change of address by one of the two mailed links."""
    async with tools.store.for_system("auth") as uow:
        changed = await confirm_email_change(uow, tools.letters, wanted.token)
    if changed is not None:
        await spread_person(tools, changed)
    return Response(status_code=204)


async def _count(tools: Tools, device: Device) -> None:
    await counted(tools, (tools.settings.limits.mail_address, subject(device.address)))
