"""What routes work with: tools, and which order or payment a person may see."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from common.auth import Principal, requires_staff
from common.persistence.export import Exporter
from fastapi import Depends, Request

from billing.domain.invoice import Issuer
from billing.domain.order import Order, OrderKind
from billing.domain.payment import Payment
from billing.domain.statement import Statement
from billing.errors import OrderNotFound, OrganizationNotActive, OrganizationOwnerRequired, PaymentNotFound
from billing.persistence.unit_of_work import BillingStore
from billing.ports import DocumentStore, DrawCreditNote, DrawInvoice, WebhookEvent, WebhookVerifier
from billing.settings import Settings
from billing.workflows.checkout import Checkout
from billing.workflows.keeping import Keeping
from billing.workflows.reconciling import Reconciling
from billing.workflows.refunding import Refunding
from billing.workflows.taking_back import TakingBack
from billing.workflows.trying_coupons import TryingCoupons

PAYERS = frozenset({"owner", "admin"})
"""Roles that may pay and cancel for an organization."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What the routes work with; `bootstrap` fills it."""

    store: BillingStore
    checkout: Checkout
    refunding: Refunding
    taking_back: TakingBack
    reconciling: Reconciling
    trying_coupons: TryingCoupons
    settings: Settings
    issuer: Issuer
    documents: DocumentStore
    keeping: Keeping
    draw_invoice: DrawInvoice
    draw_credit_note: DrawCreditNote
    paypal_webhooks: WebhookVerifier | None
    read_webhook: Callable[[bytes], WebhookEvent]
    read_phone_number: Callable[[str], str]
    read_statement: Callable[[bytes, str], Statement]
    exporter: Exporter


async def _tools(request: Request) -> Tools:
    tools: Tools = request.app.state.tools
    return tools


ToolsDep = Annotated[Tools, Depends(_tools)]
Finance = Annotated[Principal, requires_staff("finance", "admin")]
"""A person of our own who works with money."""


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
