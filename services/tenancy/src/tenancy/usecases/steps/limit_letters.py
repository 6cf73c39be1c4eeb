"""Letters to the owner about limits: one is near, one stopped something, some are passed."""

import hashlib
from collections.abc import Sequence
from typing import Any

from tenancy.domain.limits import GB, MONTHLY, Level, levels, passed
from tenancy.domain.organization import Organization
from tenancy.domain.people import Language
from tenancy.domain.usage import Usage, UsageMonth
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import Letters
from tenancy.usecases.steps.owner_letters import write_to

NEARING = "quota_nearing"
REACHED = "quota_reached"
PASSED = "quota_passed"

NAMES = {
    "esxi_servers": {"fr": "serveurs ESXi", "en": "ESXi servers"},
    "vms": {"fr": "machines virtuelles protégées", "en": "protected virtual machines"},
    "backups_per_month": {"fr": "sauvegardes du mois", "en": "backups of the month"},
    "storage_gb": {"fr": "espace de stockage", "en": "storage"},
    "users": {"fr": "utilisateurs", "en": "users"},
}


async def write_of_limits(uow: UnitOfWork, letters: Letters, organization: Organization, usage: Usage) -> None:
    """Write of each limit that is near, and of all that are passed in one letter; each once a usage month.

    The backups of a month that a smaller plan would not have allowed are over with the month: nobody is written to.
    """
    quotas = organization.entitlements.quotas
    for level in levels(usage, quotas):
        if level.near:
            await write_of_limit(uow, letters, NEARING, organization, level)
    over = [level for level in passed(usage, quotas) if level.resource != MONTHLY]
    if over:
        await _write_of_passed(uow, letters, organization, over)


async def write_of_limit(
    uow: UnitOfWork, letters: Letters, letter: str, organization: Organization, level: Level
) -> None:
    """Queue a letter about one limit; a second one of the same month about the same limit is not written."""
    key = f"{letter}:{level.resource}:{level.limit}:{_month(uow, organization)}"
    await write_to(uow, letters, letter, organization, key=key, about=lambda language: _told(level, language))


async def _write_of_passed(
    uow: UnitOfWork, letters: Letters, organization: Organization, over: Sequence[Level]
) -> None:
    which = ",".join(f"{level.resource}:{level.limit}" for level in over)
    key = f"{PASSED}:{hashlib.sha256(which.encode()).hexdigest()[:32]}:{_month(uow, organization)}"

    def about(language: Language) -> dict[str, Any]:
        shown = [_told(level, language) | {"over": _figure(level.over, level, language)} for level in over]
        return {"plan": organization.entitlements.plan.capitalize(), "levels": shown}

    await write_to(uow, letters, PASSED, organization, key=key, about=about)


def _month(uow: UnitOfWork, organization: Organization) -> str:
    return str(UsageMonth.at(organization.subscription_start.date(), uow.clock.now()).start)


def _told(level: Level, language: Language) -> dict[str, Any]:
    return {
        "resource": NAMES.get(level.resource, {}).get(language.value, level.resource),
        "limit": _figure(level.limit, level, language),
        "used": _figure(level.used, level, language),
    }


def _figure(value: int, level: Level, language: Language) -> str:
    if not level.in_bytes:
        return str(value)
    return f"{value / GB:.1f} Go".replace(".", ",") if language is Language.FR else f"{value / GB:.1f} GB"
