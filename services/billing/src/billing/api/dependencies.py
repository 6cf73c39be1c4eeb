"""What routes ask for: the doors, the checkout, the settings; and which order or payment a person may see."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from common.auth import Principal
from common.web import Cursor, language_of
from fastapi import Depends, Header, Query, Request

from billing.domain.invoice import Issuer
from billing.domain.order import Order, OrderKind
from billing.domain.payment import Payment
from billing.errors import OrderNotFound, OrganizationNotActive, OrganizationOwnerRequired, PaymentNotFound
from billing.persistence.unit_of_work import BillingStore
from billing.ports import WebhookEvent, WebhookVerifier
from billing.receipt_store import ReceiptStore
from billing.settings import Settings
from billing.workflows.checkout import Checkout

PAYERS = frozenset({"owner", "admin"})
"""Roles that may pay and cancel for an organization."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """What `bootstrap` made, as routes use it."""

    store: BillingStore
    checkout: Checkout
    settings: Settings
    issuer: Issuer
    receipts: ReceiptStore
    paypal_webhooks: WebhookVerifier | None
    read_webhook: Callable[[bytes], WebhookEvent]
    read_phone_number: Callable[[str], str]


def deployment(request: Request) -> Deployment:
    """Return what the application was built with."""
    found: Deployment = request.app.state.deployment
    return found


def language(accept_language: Annotated[str | None, Header()] = None) -> str:
    """Return ``fr`` or ``en`` as the caller prefers."""
    return language_of(accept_language)


def page_of(
    cursor: Annotated[str | None, Query()] = None, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> tuple[UUID | None, int]:
    """Return after which id a page starts, and how long it is.

    Raises:
        InvalidCursor: Not one of this list.
    """
    found = Cursor.decode(cursor)
    return (found.row_id() if found else None), limit


Here = Annotated[Deployment, Depends(deployment)]
Language = Annotated[str, Depends(language)]
Paging = Annotated[tuple[UUID | None, int], Depends(page_of)]


async def visible_order(store: BillingStore, who: Principal, order_id: UUID) -> Order:
    """Return an order that is the caller's own or his active organization's.

    Raises:
        OrderNotFound: It is neither, or does not exist: the same answer.
    """
    async with store.for_user(who.user_id) as mine:
        order = await mine.orders.find(order_id)
    if order is None and who.active_tenant_id is not None:
        async with store.for_tenant(who.active_tenant_id) as uow:
            order = await uow.orders.find(order_id)
    if order is None:
        raise OrderNotFound
    return order


async def visible_payment(store: BillingStore, who: Principal, payment_id: UUID) -> Payment:
    """Return a payment that is the caller's own or his active organization's.

    Raises:
        PaymentNotFound: It is neither, or does not exist: the same answer.
    """
    async with store.for_user(who.user_id) as mine:
        payment = await mine.payments.find(payment_id)
    if payment is None and who.active_tenant_id is not None:
        async with store.for_tenant(who.active_tenant_id) as uow:
            payment = await uow.payments.find(payment_id)
    if payment is None:
        raise PaymentNotFound
    return payment


def may_act_on(who: Principal, order: Order) -> None:
    """Refuse who may see an order but neither pay nor cancel it.

    The buyer may pay his order for a new organization for ever; for a renewal or change he has to be in the
    organization still, and to be an owner or admin of it.

    Raises:
        OrganizationNotActive: It is for an organization that is not active.
        OrganizationOwnerRequired: His role does not pay.
    """
    if order.kind is OrderKind.NEW and order.user_id == who.user_id:
        return
    if order.tenant_id != who.active_tenant_id:
        raise OrganizationNotActive
    if not PAYERS & who.roles:
        raise OrganizationOwnerRequired
