"""What routes work with: tools, and who may ask."""

from dataclasses import dataclass
from typing import Annotated

from common.persistence import Store
from fastapi import Depends, Request

from tenancy.adapters.letters import TemplateLetters
from tenancy.adapters.passwords import Passwords
from tenancy.adapters.sealing import AesSealer
from tenancy.adapters.tokens import EdDsaAccessTokens
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.settings import Settings


@dataclass(frozen=True, slots=True)
class Tools:
    """What the routes work with; `bootstrap` fills it."""

    settings: Settings
    store: Store[UnitOfWork]
    passwords: Passwords
    tokens: EdDsaAccessTokens
    sealer: AesSealer
    letters: TemplateLetters


def _tools(request: Request) -> Tools:
    tools: Tools = request.app.state.tools
    return tools


ToolsDep = Annotated[Tools, Depends(_tools)]
