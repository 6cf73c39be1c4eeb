"""What routes work with: tools, and who may ask."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from common.auth import Principal
from common.web import Paging
from common.web.pages import InvalidCursor
from fastapi import Depends, Request

from tenancy.domain.sessions import USER_AGENT_LENGTH, Device
from tenancy.errors import OrganizationNotActive, OrganizationNotFound
from tenancy.workflows.tools import Tools


async def _tools(request: Request) -> Tools:
    tools: Tools = request.app.state.tools
    return tools


async def only_active(tools: Tools, who: Principal, organization_id: UUID) -> None:
    """Let pass the active organization only; a foreign id is answered as a missing one is.

    Raises:
        OrganizationNotActive: it is the caller's, and another one is active.
        OrganizationNotFound: it is not the caller's, or nobody's.
    """
    if organization_id == who.tenant_id:
        return
    async with tools.store.for_user(who.user_id) as uow:
        mine_too = await uow.memberships.of_person(who.user_id)
    if any(membership.tenant_id == organization_id for membership in mine_too):
        raise OrganizationNotActive
    raise OrganizationNotFound


def position_in_time(paging: Paging) -> tuple[datetime, UUID] | None:
    """The moment and the id at which a page of a list by time starts; None at its beginning.

    Raises:
        InvalidCursor: it is another list's cursor.
    """
    if paging.start is None:
        return None
    try:
        moment, row_id = paging.start.position
        return datetime.fromisoformat(moment), UUID(row_id)
    except (TypeError, ValueError):
        raise InvalidCursor from None


ToolsDep = Annotated[Tools, Depends(_tools)]


async def _device(request: Request) -> Device:
    # The gateway drops what a client sends under this name and puts the address that it saw.
    address = request.headers.get("x-forwarded-for", "").strip()
    return Device(request.headers.get("user-agent", "")[:USER_AGENT_LENGTH].replace("\0", ""), address[:45])


DeviceDep = Annotated[Device, Depends(_device)]
