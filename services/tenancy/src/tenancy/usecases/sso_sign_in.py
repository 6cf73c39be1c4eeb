"""Signing in through an organization's identity provider: whom it may vouch for, and as which account.

A provider is whoever an organization's admin names, so it is believed in one thing only: about addresses of domains
that the organization has proved to be its own.
"""

import hmac
import secrets
from dataclasses import dataclass
from uuid import UUID

from common.ids import uuid7

from tenancy.domain.membership import Membership
from tenancy.domain.people import Credentials, Language, User, normalized_email
from tenancy.domain.roles import Role
from tenancy.domain.secrets import digest, new_token
from tenancy.domain.sso import STATE_LIFETIME, Asserted, Connection, domain_of
from tenancy.errors import SsoNotConfigured, SsoRefused
from tenancy.events import MemberJoined, UserRegistered
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import Sealer
from tenancy.usecases.steps.end_sessions import end_sessions
from tenancy.usecases.steps.room import count_users, writable_organization
from tenancy.usecases.steps.running_month import note_members


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in on its way: `state` goes through the provider, `login_token` stays with the client that began it."""

    connection: Connection
    state: str
    login_token: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True)
class Returned:
    """A sign-in that came back."""

    connection: Connection
    nonce: str
    verifier: str


async def connection_of(uow: UnitOfWork, sealer: Sealer, tenant_id: UUID) -> Connection:
    """An organization's provider, its secret opened.

    Raises:
        SsoNotConfigured: it has none.
    """
    row = await uow.sso.connection(tenant_id)
    if row is None:
        raise SsoNotConfigured
    return Connection(tenant_id, row["issuer"], row["client_id"], sealer.open(row["secret_sealed"], tenant_id))


async def begin(uow: UnitOfWork, sealer: Sealer, email: str) -> Begun:
    """Remember a sign-in for the organization whose proven domain the address is of. Needs `for_system("auth")`.

    Raises:
        SsoNotConfigured: the domain is nobody's, or its organization has no provider.
    """
    tenant_id = await uow.sso_sign_ins.tenant_of_domain(domain_of(email) or "")
    if tenant_id is None:
        raise SsoNotConfigured
    begun = Begun(await connection_of(uow, sealer, tenant_id), new_token(), new_token(), new_token(), new_token())
    await uow.sso_sign_ins.remember(
        tenant_id,
        digest(begun.state),
        digest(begun.login_token),
        begun.nonce,
        begun.verifier,
        uow.clock.now() + STATE_LIFETIME,
    )
    return begun


async def come_back(uow: UnitOfWork, sealer: Sealer, state: str, login_token: str) -> Returned | None:
    """Use a state up; None where it is unknown, too old, or was begun by another client. Needs `for_system("auth")`.

    It is used up whoever shows it, which has to be committed although the caller is refused.
    """
    row = await uow.sso_sign_ins.take(digest(state), uow.clock.now())
    if row is None or not hmac.compare_digest(row["binding_hash"], digest(login_token)):
        return None
    return Returned(await connection_of(uow, sealer, row["tenant_id"]), row["nonce"], row["verifier"])


async def account_of(uow: UnitOfWork, tenant_id: UUID, asserted: Asserted, nobodys_hash: str) -> User:
    """The account of whoever the provider vouches for, made if there is none. Needs `for_system("auth")`.

    Raises:
        SsoRefused: the provider does not say, or may not say, whose account it is; see the module.
    """
    email = normalized_email(asserted.email or "")
    proved = email is not None and await uow.sso_sign_ins.tenant_of_domain(domain_of(email) or "") == tenant_id
    if email is None or not asserted.email_verified or not proved:
        raise SsoRefused
    linked = await uow.sso_sign_ins.person(asserted.issuer, asserted.subject)
    user = await uow.users.by_id(linked) if linked else await uow.users.by_email(email)
    if user is not None and (user.disabled_at is not None or user.staff_roles or user.email != email):
        # Staff sign in with their own factors; an account that left for another address is no longer the domain's.
        raise SsoRefused
    if user is None:
        user = await _registered(uow, email, asserted, nobodys_hash)
    elif user.email_verified_at is None:
        await _disown(uow, user, nobodys_hash)
    if linked is None:
        await uow.sso_sign_ins.link(asserted.issuer, asserted.subject, user.id, uow.clock.now())
        await uow.audit("sso.linked", str(user.id), actor=user.id, details={"issuer": asserted.issuer})
    return user


async def _registered(uow: UnitOfWork, email: str, asserted: Asserted, nobodys_hash: str) -> User:
    now = uow.clock.now()
    name = " ".join(asserted.full_name.split())[:200] or email.partition("@")[0]
    user = User(uuid7(), email, name, Language.FR, now, email_verified_at=now)
    if not await uow.users.add(user):
        raise SsoRefused
    await uow.users.add_credentials(Credentials(user.id, nobodys_hash))
    await uow.publish(UserRegistered(user_id=user.id, language=user.language.value), subject=str(user.id))
    return user


async def _disown(uow: UnitOfWork, user: User, nobodys_hash: str) -> None:
    """Take an account from whoever opened it with an address that they never showed to be theirs."""
    await uow.users.set(user.id, email_verified_at=uow.clock.now())
    await uow.users.set_credentials(
        user.id, password_hash=nobodys_hash, totp_sealed=None, totp_pending=None, totp_last_step=None
    )
    await uow.recovery_codes.replace(user.id, ())
    for passkey in await uow.passkeys.of_person(user.id):
        await uow.passkeys.remove(user.id, passkey.id)
    await end_sessions(uow, user.id, "sso_linked")


async def join(uow: UnitOfWork, user_id: UUID) -> None:
    """Make the person a member of the provider's organization, if they are none. Needs `for_tenant`.

    Raises:
        OrganizationSuspended, QuotaReached: there is no place for one more.
    """
    if await uow.memberships.get(uow.tenant_id, user_id) is not None:
        return
    organization = await writable_organization(uow)
    person = await uow.people.named(user_id)
    if person is None:
        raise SsoRefused
    users = await count_users(uow, organization, invited=0)
    now = uow.clock.now()
    if not await uow.memberships.add(
        Membership(organization.id, person.id, Role.MEMBER, person.email, person.full_name, now)
    ):
        return
    await note_members(uow, organization, users + 1)
    fact = MemberJoined(user_id=person.id, role=Role.MEMBER.value, invited_by=organization.owner_user_id)
    await uow.publish(fact, subject=str(person.id))
    await uow.audit("member.joined", str(person.id), actor=person.id, details={"role": "member", "by": "sso"})


def nobodys_password() -> str:
    """A password that nobody knows, for accounts that have none yet."""
    return secrets.token_urlsafe(32)
