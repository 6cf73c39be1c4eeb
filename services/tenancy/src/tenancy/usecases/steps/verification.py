"""The link that shows that an address is its owner's."""

from datetime import timedelta

from common.ids import uuid7

from tenancy.domain.links import Purpose
from tenancy.domain.people import User
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import Letters
from tenancy.usecases.steps.one_time_links import make_link


async def mail_verification(uow: UnitOfWork, letters: Letters, user: User, lifetime: timedelta) -> None:
    """Send a link in the place of an older one. Needs `for_system("auth")`."""
    token = await make_link(uow, user.id, Purpose.VERIFY_EMAIL, user.email, lifetime)
    await uow.send_mail(
        letters.write(
            "verify_email",
            to=user.email,
            key=f"verify:{uuid7()}",
            language=user.language,
            person=user.full_name,
            token=token,
        )
    )
