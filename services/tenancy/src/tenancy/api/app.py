"""The application: every route of tenancy."""

from common.auth import InternalTokenVerifier
from common.web import create_app
from common.web.exports import export_router
from fastapi import FastAPI

from tenancy.api.routes import (
    account,
    admin_organizations,
    api_keys,
    audit,
    auth,
    impersonations,
    internal,
    members,
    organizations,
    passkeys,
    platform_audit,
    second_factor,
    sessions,
    sso,
    webhooks,
)
from tenancy.settings import NAME
from tenancy.workflows.tools import Tools

ROUTERS = (
    auth.router,
    account.router,
    second_factor.router,
    passkeys.router,
    sessions.router,
    sso.router,
    organizations.router,
    members.router,
    audit.router,
    api_keys.router,
    webhooks.router,
    admin_organizations.router,
    platform_audit.router,
    impersonations.router,
    internal.router,
    export_router(NAME, "/api/tenants/organizations/{organization_id}/export/"),
)


def make_app(tools: Tools | None, verifier: InternalTokenVerifier | None) -> FastAPI:
    """The application; without tools it serves only to be described (contracts)."""
    return create_app(
        NAME,
        title="Tenancy",
        routers=ROUTERS,
        verifier=verifier,
        state={"tools": tools},
        store=tools.store if tools else None,
    )
