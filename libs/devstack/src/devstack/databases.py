"""Brings a PostgreSQL to what the stack needs: roles, databases, schemas, plans and staff."""

import secrets as random
import string
from typing import Any

from common.persistence.migrate import upgrade
from common.persistence.provision import create_database, create_roles
from common.settings import load

from devstack.members import BILLING, TENANCY, WITH_DATABASE, Member
from devstack.secrets import StackSecrets

STAFF = ("finance@backup.example", "admin@backup.example")
"""Two platform admins, because what one submits another has to check."""


async def _prepare(member: Member, admin_url: str, kept: StackSecrets) -> None:
    await create_roles(
        admin_url,
        member.prefix,
        member.system_roles,
        password=kept.database_password,
        owner_password=kept.owner_password,
    )
    settings = load(member.settings)
    await create_database(admin_url, settings.database_url.rpartition("/")[2], member.prefix)
    await upgrade(settings, member.prefix, member.package_folder)


async def prepare(admin_url: str, kept: StackSecrets) -> None:
    """Make every database, bring it to the newest schema, seed plans; repeating it changes nothing.

    The environment holds the services' settings already.
    """
    for member in WITH_DATABASE:
        # One after the other: Alembic has one context per process.
        await _prepare(member, admin_url, kept)
    from billing.bootstrap import create_plans  # as of `Member`: only when it is needed

    await create_plans(load(BILLING.settings))


async def staff() -> list[dict[str, Any]]:
    """Create the platform's admins with new credentials; return them for the endpoints file."""
    from tenancy.bootstrap import create_staff

    settings = load(TENANCY.settings)
    found = []
    for email in STAFF:
        password = "".join(random.choice(string.ascii_letters + string.digits) for _ in range(20))
        made = await create_staff(settings, email=email, role="admin", password=password)
        found.append({"email": made.email, "password": made.password, "totp_secret": made.totp_secret})
    return found
