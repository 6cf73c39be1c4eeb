"""Single sign-on: between our transactions the provider, or the DNS, is asked."""

from dataclasses import dataclass
from uuid import UUID

from tenancy.domain.attempts import subject
from tenancy.domain.sessions import Device
from tenancy.domain.sign_in_rules import SignInProof
from tenancy.domain.sso import ProvenDomain
from tenancy.errors import SsoRefused
from tenancy.usecases import sso_settings, sso_sign_in
from tenancy.usecases.sign_in import TokenPair, start_session
from tenancy.workflows.signing_in import counted
from tenancy.workflows.tools import Tools


@dataclass(frozen=True, slots=True)
class Way:
    """Where the browser goes, and what its page keeps until it comes back."""

    authorization_url: str
    state: str
    login_token: str


async def begin_sso(tools: Tools, email: str) -> Way:
    """Begin for the organization whose domain the address is of.

    Raises:
        SsoNotConfigured: there is none.
        ProviderUnavailable: its provider does not answer, or not as it should.
    """
    async with tools.store.for_system("auth") as uow:
        begun = await sso_sign_in.begin(uow, tools.sealer, email)
    url = await tools.providers.authorization_url(
        begun.connection,
        state=begun.state,
        nonce=begun.nonce,
        verifier=begun.verifier,
        redirect_uri=tools.settings.sso_redirect_uri,
    )
    return Way(url, begun.state, begun.login_token)


async def finish_sso(tools: Tools, device: Device, *, code: str, state: str, login_token: str) -> TokenPair:
    """Exchange the code, find or make the account, let it join, begin a session that is good for that organization.

    Raises:
        SsoRefused: anything does not fit.
        ProviderUnavailable: the provider does not answer.
        OrganizationSuspended, QuotaReached: the organization has no place for one more.
    """
    async with tools.store.for_system("auth") as uow:
        returned = await sso_sign_in.come_back(uow, tools.sealer, state, login_token)
    if returned is None:
        raise SsoRefused
    asserted = await tools.providers.exchange(
        returned.connection,
        code=code,
        nonce=returned.nonce,
        verifier=returned.verifier,
        redirect_uri=tools.settings.sso_redirect_uri,
    )
    nobodys_hash = await tools.passwords.hash(sso_sign_in.nobodys_password())
    tenant_id = returned.connection.tenant_id
    async with tools.store.for_system("auth") as uow:
        user = await sso_sign_in.account_of(uow, tenant_id, asserted, nobodys_hash)
    async with tools.store.for_tenant(tenant_id) as uow:
        await sso_sign_in.join(uow, user.id)
    async with tools.store.for_system("auth") as uow:
        proof = SignInProof(sso_tenant_id=tenant_id)
        return await start_session(uow, tools.opening(device), user, proof)


async def prove_domain(tools: Tools, tenant_id: UUID, actor: UUID, domain: str) -> ProvenDomain:
    """Look the domain's TXT record up; each look-up counts, so that we are nobody's means to bother name servers.

    Raises:
        TooManyTries: there have been too many for this organization.
        OrganizationSuspended, DomainNotFound, DomainNotProved, DomainOfAnother: as they say.
    """
    async with tools.store.for_tenant(tenant_id) as uow:
        wanted = await sso_settings.domain_to_prove(uow, domain)
    await counted(tools, (tools.settings.limits.domain, subject("domain", str(tenant_id))))
    records = await tools.domain_records.txt(wanted.record_name)
    async with tools.store.for_tenant(tenant_id) as uow:
        return await sso_settings.prove_domain(uow, actor, wanted, records)
