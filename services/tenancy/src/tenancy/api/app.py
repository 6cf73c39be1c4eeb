"""The application: every route of tenancy."""

from common.auth import InternalTokenVerifier
from common.web import create_app
from fastapi import FastAPI

from tenancy.api.dependencies import Tools
from tenancy.api.routes import api_keys, audit, auth, internal, organizations, sessions
from tenancy.settings import NAME

ROUTERS = (
    auth.router,
    sessions.router,
    organizations.router,
    audit.router,
    api_keys.router,
    internal.router,
)


def make_app(tools: Tools | None, verifier: InternalTokenVerifier | None) -> FastAPI:
    """The application; without tools it serves only to be described (contracts)."""
    return create_app(NAME, title="Tenancy", routers=ROUTERS, verifier=verifier, state={"tools": tools})
