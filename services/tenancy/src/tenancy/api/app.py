"""The application of tenancy."""

from common.auth import InternalTokenVerifier
from common.web import create_app
from fastapi import FastAPI

from tenancy.api.dependencies import Kit
from tenancy.api.routes import auth, internal, organizations

ROUTERS = (auth.router, organizations.router, internal.router)


def application(kit: Kit) -> FastAPI:
    """Build the application around what `bootstrap` made."""
    verifier = InternalTokenVerifier(kit.settings.gateway_public_keys, "tenancy")
    return create_app("tenancy", title="Tenancy", routers=ROUTERS, verifier=verifier, state={"kit": kit})
