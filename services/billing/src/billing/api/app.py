"""Billing's application: every router, one error tree, nothing else."""

from common.auth import InternalTokenVerifier
from common.web import create_app
from fastapi import FastAPI

from billing.api.dependencies import Deployment
from billing.api.routes import admin, catalogue, coupons, invoices, orders, payments, webhooks

ROUTERS = (
    catalogue.router,
    orders.router,
    payments.router,
    invoices.router,
    coupons.router,
    webhooks.router,
    admin.router,
)


def application(deployment: Deployment | None, verifier: InternalTokenVerifier | None) -> FastAPI:
    """Return the application; without a deployment it only describes itself."""
    return create_app(
        "billing",
        title="Billing",
        routers=ROUTERS,
        verifier=verifier,
        state={"deployment": deployment} if deployment else {},
    )
