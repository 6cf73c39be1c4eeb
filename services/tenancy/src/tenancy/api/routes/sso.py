"""Single sign-on: `/api/auth/sso/` for who wants in, and an organization's own settings of it."""

from typing import Annotated
from uuid import UUID

from common.auth import Principal, public, requires
from fastapi import APIRouter, Response

from tenancy.api.dependencies import DeviceDep, ToolsDep, only_active
from tenancy.api.schemas.auth import TokensOut
from tenancy.api.schemas.sso import (
    DomainIn,
    DomainOut,
    SignInRulesIn,
    SignInRulesOut,
    SsoFinishIn,
    SsoIn,
    SsoOut,
    SsoStartIn,
    SsoStartOut,
)
from tenancy.domain.sign_in_rules import SignInRules
from tenancy.usecases import sso_settings
from tenancy.workflows.single_sign_on import begin_sso, finish_sso, prove_domain
from tenancy.workflows.tools import Tools

router = APIRouter(tags=["single sign-on"])
ORGANIZATION = "/api/tenants/organizations/{organization_id}"
Keeper = Annotated[Principal, requires("owner", "admin")]
Owner = Annotated[Principal, requires("owner")]


@router.post("/api/auth/sso/", dependencies=[public()])
async def start(wanted: SsoStartIn, tools: ToolsDep) -> SsoStartOut:
    """Begin signing in at the provider of the address's organization."""
    way = await begin_sso(tools, wanted.email)
    return SsoStartOut(authorization_url=way.authorization_url, state=way.state, login_token=way.login_token)


@router.post("/api/auth/sso/callback/", dependencies=[public()])
async def callback(wanted: SsoFinishIn, tools: ToolsDep, device: DeviceDep) -> TokensOut:
    """Finish it: a session that is good for that organization."""
    pair = await finish_sso(tools, device, code=wanted.code, state=wanted.state, login_token=wanted.login_token)
    return TokensOut.of(pair, int(tools.tokens.lifetime.total_seconds()))


@router.get(ORGANIZATION + "/sso/")
async def settings(organization_id: UUID, tools: ToolsDep, who: Keeper) -> SsoOut:
    """The organization's provider and domains."""
    await only_active(tools, who, organization_id)
    return await _shown(tools, who)


@router.put(ORGANIZATION + "/sso/")
async def connect(organization_id: UUID, wanted: SsoIn, tools: ToolsDep, who: Keeper) -> SsoOut:
    """Name the organization's provider."""
    await only_active(tools, who, organization_id)
    async with tools.store.for_tenant(who.tenant_id) as uow:
        await sso_settings.connect(
            uow,
            tools.sealer,
            who.user_id,
            issuer=wanted.issuer,
            client_id=wanted.client_id,
            client_secret=wanted.client_secret,
        )
    return await _shown(tools, who)


@router.delete(ORGANIZATION + "/sso/", status_code=204)
async def disconnect(organization_id: UUID, tools: ToolsDep, who: Keeper) -> Response:
    """Forget the provider."""
    await only_active(tools, who, organization_id)
    async with tools.store.for_tenant(who.tenant_id) as uow:
        await sso_settings.disconnect(uow, who.user_id)
    return Response(status_code=204)


@router.post(ORGANIZATION + "/sso/domains/", status_code=201)
async def add_domain(organization_id: UUID, wanted: DomainIn, tools: ToolsDep, who: Keeper) -> DomainOut:
    """Note a domain; the answer says which TXT record shows that it is the organization's."""
    await only_active(tools, who, organization_id)
    async with tools.store.for_tenant(who.tenant_id) as uow:
        return DomainOut.of(await sso_settings.add_domain(uow, who.user_id, wanted.domain))


@router.post(ORGANIZATION + "/sso/domains/{domain}/verify/")
async def verify_domain(organization_id: UUID, domain: str, tools: ToolsDep, who: Keeper) -> DomainOut:
    """Look for the record."""
    await only_active(tools, who, organization_id)
    return DomainOut.of(await prove_domain(tools, who.tenant_id, who.user_id, domain))


@router.delete(ORGANIZATION + "/sso/domains/{domain}/", status_code=204)
async def remove_domain(organization_id: UUID, domain: str, tools: ToolsDep, who: Keeper) -> Response:
    """Forget a domain: its people can no longer come through the provider."""
    await only_active(tools, who, organization_id)
    async with tools.store.for_tenant(who.tenant_id) as uow:
        await sso_settings.remove_domain(uow, who.user_id, domain)
    return Response(status_code=204)


@router.get(ORGANIZATION + "/sign-in-rules/")
async def rules(organization_id: UUID, tools: ToolsDep, who: Keeper) -> SignInRulesOut:
    """What the organization demands of its members' sessions."""
    await only_active(tools, who, organization_id)
    return await _rules(tools, who)


@router.put(ORGANIZATION + "/sign-in-rules/")
async def set_rules(organization_id: UUID, wanted: SignInRulesIn, tools: ToolsDep, who: Owner) -> SignInRulesOut:
    """Demand a second factor or single sign-on; sessions without leave the organization with their next token."""
    await only_active(tools, who, organization_id)
    async with tools.store.for_system("auth") as uow:
        session = await uow.sessions.get(who.session_id) if who.session_id else None
    proved = session is not None and session.user_id == who.user_id and session.second_factor_at is not None
    async with tools.store.for_tenant(who.tenant_id) as uow:
        demanded = SignInRules(wanted.second_factor_required, wanted.sso_required)
        await sso_settings.set_rules(uow, who.user_id, demanded, second_factor=proved)
    return await _rules(tools, who)


async def _rules(tools: Tools, who: Principal) -> SignInRulesOut:
    async with tools.store.for_tenant(who.tenant_id) as uow:
        found = await uow.sign_in_rules.of([who.tenant_id])
    return SignInRulesOut.model_validate(found.get(who.tenant_id, SignInRules()))


async def _shown(tools: Tools, who: Principal) -> SsoOut:
    async with tools.store.for_tenant(who.tenant_id) as uow:
        connection = await uow.sso.connection(who.tenant_id)
        domains = await uow.sso.domains(who.tenant_id)
    return SsoOut(
        issuer=connection["issuer"] if connection else None,
        client_id=connection["client_id"] if connection else None,
        redirect_uri=tools.settings.sso_redirect_uri,
        domains=[DomainOut.of(one) for one in domains],
    )
