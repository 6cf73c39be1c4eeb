"""The application: every route of billing."""

from common.auth import InternalTokenVerifier
from common.web import create_app
from common.web.exports import export_router
from fastapi import FastAPI

from billing.api.dependencies import Tools
from billing.api.routes import (
    admin,
    admin_office,
    admin_plans,
    admin_refunds,
    admin_statements,
    admin_subscriptions,
    catalogue,
    coupons,
    credit_notes,
    invoices,
    orders,
    payments,
    subscription,
    webhooks,
)
from billing.settings import NAME

ROUTERS = (
    catalogue.router,
    orders.router,
    payments.router,
    invoices.router,
    credit_notes.router,
    subscription.router,
    coupons.router,
    webhooks.router,
    admin.router,
    admin_plans.router,
    admin_refunds.router,
    admin_subscriptions.router,
    admin_office.router,
    admin_statements.router,
    export_router(NAME, "/api/tenants/organizations/{organization_id}/export/"),
)


def make_app(tools: Tools | None, verifier: InternalTokenVerifier | None) -> FastAPI:
    """The application; without tools it serves only to be described (contracts)."""
    return create_app(
        NAME,
        title="Billing",
        routers=ROUTERS,
        verifier=verifier,
        state={"tools": tools},
        store=tools.store if tools else None,
    )
