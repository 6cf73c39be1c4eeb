"""The mail with the link of an invitation, once per sending."""

from tenancy.domain.invitations import Invitation
from tenancy.domain.organization import Organization
from tenancy.domain.people import DAY, Language, NamedPerson
from tenancy.errors.words import ROLES
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import Letters


async def send_invitation(
    uow: UnitOfWork,
    letters: Letters,
    invitation: Invitation,
    organization: Organization,
    inviter: NamedPerson,
    token: str,
) -> None:
    """Mail the link in the inviter's language: the invited person may have no account yet."""
    await uow.send_mail(
        letters.write(
            "invitation",
            to=invitation.email,
            key=f"invitation:{invitation.id}:{invitation.sent_at:%Y%m%d%H%M%S}",
            language=inviter.language,
            inviter=inviter.full_name,
            organization=organization.name,
            role=ROLES[invitation.role.value][inviter.language is Language.FR],
            until=f"{invitation.expires_at:{DAY[inviter.language]}}",
            token=token,
        )
    )
