"""What routes work with: tools, and who may ask."""

from dataclasses import dataclass
from typing import Annotated

from common.persistence import Store
from fastapi import Depends, Request

from tenancy.domain.sessions import USER_AGENT_LENGTH, Device
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import AccessTokens, Letters, Passwords, Sealer
from tenancy.settings import Settings


@dataclass(frozen=True, slots=True)
class Tools:
    """What the routes work with; `bootstrap` fills it."""

    settings: Settings
    store: Store[UnitOfWork]
    passwords: Passwords
    tokens: AccessTokens
    sealer: Sealer
    letters: Letters


def _tools(request: Request) -> Tools:
    tools: Tools = request.app.state.tools
    return tools


ToolsDep = Annotated[Tools, Depends(_tools)]


def _device(request: Request) -> Device:
    # The gateway drops what a client sends under this name and puts the address that it saw.
    address = request.headers.get("x-forwarded-for", "").strip()
    return Device(request.headers.get("user-agent", "")[:USER_AGENT_LENGTH].replace("\0", ""), address[:45])


DeviceDep = Annotated[Device, Depends(_device)]
