"""An organization's identity provider, domains and rules of signing in, as its owners and admins set them."""

from uuid import UUID

from tenancy.domain.secrets import new_token
from tenancy.domain.sign_in_rules import SignInRules
from tenancy.domain.sso import MOST_DOMAINS, ProvenDomain, normalized_domain
from tenancy.errors import (
    DomainInvalid,
    DomainNotFound,
    DomainNotProved,
    DomainOfAnother,
    EmailNotVerified,
    SecondFactorMissing,
    SsoNotReady,
    TooManyDomains,
)
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import Sealer
from tenancy.usecases.steps.room import writable_organization


async def connect(
    uow: UnitOfWork, sealer: Sealer, actor: UUID, *, issuer: str, client_id: str, client_secret: str
) -> None:
    """Name the organization's provider.

    Raises:
        EmailNotVerified: the actor has not confirmed their address.
        OrganizationSuspended: nothing may be changed.
    """
    organization = await writable_organization(uow)
    person = await uow.people.named(actor)
    if person is None or person.email_verified_at is None:
        raise EmailNotVerified
    sealed = sealer.seal(client_secret, organization.id)
    await uow.sso.connect(organization.id, issuer=issuer, client_id=client_id, secret_sealed=sealed)
    await uow.audit("sso.connected", str(organization.id), actor=actor, details={"issuer": issuer})


async def disconnect(uow: UnitOfWork, actor: UUID) -> None:
    """Forget the provider; single sign-on is no longer demanded."""
    await writable_organization(uow)
    await uow.sso.disconnect(uow.tenant_id)
    rules = (await uow.sign_in_rules.of([uow.tenant_id])).get(uow.tenant_id, SignInRules())
    await uow.sign_in_rules.put(uow.tenant_id, SignInRules(rules.second_factor_required, sso_required=False))
    await uow.audit("sso.disconnected", str(uow.tenant_id), actor=actor)


async def add_domain(uow: UnitOfWork, actor: UUID, typed: str) -> ProvenDomain:
    """Note a domain that the organization says is its own; return what its TXT record has to say.

    Raises:
        DomainInvalid: it is no domain.
        TooManyDomains: the organization has noted as many as it may.
    """
    await writable_organization(uow)
    domain = normalized_domain(typed)
    if domain is None:
        raise DomainInvalid
    noted = [one.domain for one in await uow.sso.domains(uow.tenant_id)]
    if len(noted) >= MOST_DOMAINS and domain not in noted:
        raise TooManyDomains(limit=MOST_DOMAINS)
    await uow.sso.add_domain(ProvenDomain(uow.tenant_id, domain, new_token()))
    await uow.audit("sso.domain_added", domain, actor=actor)
    return await find_domain(uow, domain)


async def find_domain(uow: UnitOfWork, typed: str) -> ProvenDomain:
    """One of the organization's domains.

    Raises:
        DomainNotFound: it has not noted it.
    """
    found = await uow.sso.domain(uow.tenant_id, normalized_domain(typed) or "")
    if found is None:
        raise DomainNotFound
    return found


async def domain_to_prove(uow: UnitOfWork, typed: str) -> ProvenDomain:
    """One of the organization's domains, where it may be proved.

    Raises:
        DomainNotFound: it has not noted it.
        OrganizationSuspended: nothing may be changed.
    """
    await writable_organization(uow)
    return await find_domain(uow, typed)


async def prove_domain(uow: UnitOfWork, actor: UUID, wanted: ProvenDomain, records: list[str]) -> ProvenDomain:
    """Compare the records that were found with the one that has to be there.

    Raises:
        DomainNotProved: it is not there.
        DomainOfAnother: another organization has proved it.
    """
    if wanted.record_value not in records:
        raise DomainNotProved(name=wanted.record_name, value=wanted.record_value)
    if not await uow.sso.prove_domain(uow.tenant_id, wanted.domain, uow.clock.now()):
        raise DomainOfAnother
    await uow.audit("sso.domain_proved", wanted.domain, actor=actor)
    return await find_domain(uow, wanted.domain)


async def remove_domain(uow: UnitOfWork, actor: UUID, typed: str) -> None:
    """Forget a domain: nobody of it is let in by the provider any more.

    Raises:
        DomainNotFound: it has not noted it.
        OrganizationSuspended: nothing may be changed.
    """
    await writable_organization(uow)
    domain = await find_domain(uow, typed)
    await uow.sso.remove_domain(uow.tenant_id, domain.domain)
    await uow.audit("sso.domain_removed", domain.domain, actor=actor)


async def set_rules(uow: UnitOfWork, actor: UUID, rules: SignInRules, *, second_factor: bool) -> None:
    """Say what the organization demands of sessions. Sessions that do not fulfil it leave it with their next token.

    Args:
        uow: an open transaction of the organization.
        actor: the owner who wants it.
        rules: what is demanded.
        second_factor: whether the owner's own session has proved one: nobody shall lock themselves out.

    Raises:
        SecondFactorMissing: it has not.
        SsoNotReady: there is no provider, or no domain is proved.
    """
    await writable_organization(uow)
    if (rules.second_factor_required or rules.sso_required) and not second_factor:
        raise SecondFactorMissing
    if rules.sso_required:
        domains = await uow.sso.domains(uow.tenant_id)
        if await uow.sso.connection(uow.tenant_id) is None or not any(one.verified_at for one in domains):
            raise SsoNotReady
    await uow.sign_in_rules.put(uow.tenant_id, rules)
    details = {"second_factor_required": rules.second_factor_required, "sso_required": rules.sso_required}
    await uow.audit("sign_in_rules.set", str(uow.tenant_id), actor=actor, details=details)
