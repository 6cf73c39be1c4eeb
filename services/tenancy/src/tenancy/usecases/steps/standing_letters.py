"""Letters to the owner about how his organization stands."""

from datetime import datetime
from typing import Any

from tenancy.domain.organization import Organization, Status
from tenancy.domain.people import DAY, Language
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import Letters
from tenancy.usecases.steps.owner_letters import write_to

SUSPENDED = "suspended"
REACTIVATED = "reactivated"
EXPIRED = "expired"
DELETION_ASKED = "deletion_asked"
DELETION_CALLED_OFF = "deletion_called_off"
DELETED = "deleted"
HELD = "held"


async def write_to_owner(
    uow: UnitOfWork,
    letters: Letters,
    letter: str,
    organization: Organization,
    *,
    due: datetime | None = None,
    disputed: bool = False,
) -> None:
    """Write one of the letters, once per version of the organization; an owner without an account gets none.

    Asking for deletion and calling it off change no version: they are written about each time, once a minute.
    """
    moment = f":{uow.clock.now():%Y%m%d%H%M}" if letter in {DELETION_ASKED, DELETION_CALLED_OFF} else ""

    def about(language: Language) -> dict[str, Any]:
        return {
            "plan": organization.entitlements.plan.capitalize(),
            "cancelled": organization.status is Status.CANCELLED,
            "disputed": disputed,
            "due": f"{due:{DAY[language]}}" if due else "",
        }

    key = f"{letter}:{organization.version}{moment}"
    await write_to(uow, letters, letter, organization, key=key, about=about)
