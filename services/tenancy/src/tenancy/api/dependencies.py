"""What routes are handed; `bootstrap` puts it into the application's state."""

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
class Kit:
    """Everything that the routes of one application share."""

    settings: Settings
    store: Store[UnitOfWork]
    passwords: Passwords
    tokens: EdDsaAccessTokens
    sealer: AesSealer
    letters: TemplateLetters


def _kit(request: Request) -> Kit:
    kit: Kit = request.app.state.kit
    return kit


KitDep = Annotated[Kit, Depends(_kit)]
