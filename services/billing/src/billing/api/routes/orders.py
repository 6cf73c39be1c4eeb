"""``/orders/``: place, read, cancel, pay, verify."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from common.auth import Principal, requires_person
from common.crash_points import reach
from common.web import IdempotencyKey, LanguageDep, Page, PagingDep
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from billing.api.dependencies import ToolsDep, may_act_on, visible_order
from billing.api.initiating import initiate
from billing.api.offering import offered_for, selling_of
from billing.api.schemas.orders import InitiateIn, InitiateOut, OrderIn, OrderOut, PricedIn, VerifyOut
from billing.api.schemas.previews import PreviewOut
from billing.domain.order import PAID_FOR, Order, OrderKind, OrderStatus
from billing.domain.payment import Payment
from billing.domain.reason import explain_payment
from billing.domain.usage import Excess, over_quota
from billing.domain.wording import explain_rest
from billing.errors import OrderIdDiffers
from billing.persistence.unit_of_work import UnitOfWork
from billing.usecases.cancel_order import cancel_order
from billing.workflows.ordering import Asked, order_for, preview_for, resolve_target

router = APIRouter(prefix="/api/tenants/orders", tags=["orders"])
Person = Annotated[Principal, requires_person()]

ASK_GAP = timedelta(seconds=3)
"""A customer who waits may have the provider asked this long after the last question; his page polls every 5 s."""


async def answer_of(uow: UnitOfWork, order: Order) -> dict[str, Any]:
    """Return what is answered where an order is placed."""
    organization = await uow.organizations.document(order.tenant_id)
    return OrderOut.of(order, organization, await _excess(uow, order)).model_dump(mode="json")


async def _excess(uow: UnitOfWork, order: Order) -> tuple[Excess, ...] | None:
    """Return what is used beyond the plan that a change will bring; ``None`` for other orders."""
    if order.kind is not OrderKind.CHANGE:
        return None
    return over_quota(await uow.usage.known(order.tenant_id), order.plan.quotas)


@router.post("/", status_code=201, response_model=OrderOut)
async def place(
    wanted: OrderIn,
    who: Person,
    tools: ToolsDep,
    language: LanguageDep,
    request: Request,
    key: IdempotencyKey = None,
) -> Response:
    wish, organization_id = await resolve_target(
        tools.store, who, wanted.wanted(language), kind=wanted.kind, organization_id=wanted.organization_id
    )
    body = await request.body()
    async with tools.trying_coupons.counted(who.user_id, wish.coupon_code):
        status, answer = await order_for(
            tools.store,
            who.user_id,
            wish,
            organization_id,
            selling_of(tools),
            holds=timedelta(days=tools.settings.order_days),
            asked=Asked(
                by=who.user_id, route="POST /api/tenants/orders/", key=key, body=body, any_kind=wanted.kind is None
            ),
            answer=answer_of,
        )
    reach("billing.order.placed")
    return JSONResponse(answer, status_code=status)


@router.post("/preview/")
async def preview(wanted: PricedIn, who: Person, tools: ToolsDep, language: LanguageDep) -> PreviewOut:
    """What placing this order now would charge. Nothing is placed, held or counted, but a coupon code that is wrong.

    An unpaid order of the last hour that is the same is still that one: at its price, and with its use of a coupon.
    """
    wish, organization_id = await resolve_target(
        tools.store, who, wanted.wanted(language), kind=wanted.kind, organization_id=wanted.organization_id
    )
    async with tools.trying_coupons.counted(who.user_id, wish.coupon_code):
        shown = await preview_for(
            tools.store, who, wish, organization_id, selling_of(tools), any_kind=wanted.kind is None
        )
    async with tools.store.for_system("catalogue") as uow:
        methods = await uow.catalogue.methods()
    return PreviewOut.of(shown, language, offered_for(tools, methods, shown.due))


@router.get("/")
async def list_orders(
    who: Person, tools: ToolsDep, paging: PagingDep, status: Annotated[OrderStatus | None, Query()] = None
) -> Page[OrderOut]:
    door = tools.store.for_tenant(who.active_tenant_id) if who.active_tenant_id else tools.store.for_user(who.user_id)
    async with door as uow:
        orders = await uow.orders.page(paging.after, paging.rows, status=status)
        known = await uow.organizations.documents([order.tenant_id for order in orders])
    return paging.page(orders, lambda order: OrderOut.of(order, known.get(order.tenant_id)), lambda order: (order.id,))


@router.get("/{order_id}/")
async def get_order(order_id: UUID, who: Person, tools: ToolsDep) -> OrderOut:
    order = await visible_order(tools.store, who, order_id)
    async with tools.store.for_tenant(order.tenant_id) as uow:
        return OrderOut.of(order, await uow.organizations.document(order.tenant_id), await _excess(uow, order))


@router.post("/{order_id}/cancel/")
async def cancel(order_id: UUID, who: Person, tools: ToolsDep) -> OrderOut:
    order = await visible_order(tools.store, who, order_id)
    may_act_on(who, order)
    async with tools.store.for_tenant(order.tenant_id) as uow:
        cancelled = await cancel_order(uow, order_id)
        return OrderOut.of(cancelled, await uow.organizations.document(order.tenant_id))


@router.post("/{order_id}/initiate_payment/")
async def initiate_payment(
    order_id: UUID,
    wanted: InitiateIn,
    who: Person,
    tools: ToolsDep,
    language: LanguageDep,
    request: Request,
    key: IdempotencyKey = None,
) -> InitiateOut:
    if wanted.order_id is not None and wanted.order_id != order_id:
        raise OrderIdDiffers
    order = await visible_order(tools.store, who, order_id)
    may_act_on(who, order)
    return await initiate(tools, order, wanted, who.user_id, language, key=key, body=await request.body())


@router.post("/{order_id}/verify_payment/")
async def verify_payment(order_id: UUID, who: Person, tools: ToolsDep, language: LanguageDep) -> VerifyOut:
    order = await visible_order(tools.store, who, order_id)
    standing = await _standing(tools, order)
    if await _ask_about(tools, standing.attempts):
        standing = await _standing(tools, order)
    current, organization = standing.order, standing.organization
    paid = current.payment_status in PAID_FOR
    return VerifyOut(
        success=paid and organization is not None,
        status=current.status,
        payment_status=current.payment_status,
        message=None if paid else _told(standing, language),
        organization=organization if paid else None,
    )


@dataclass(frozen=True, slots=True)
class _Standing:
    """Where an order stands; ``organization`` is tenancy's document, ``None`` until it is provisioned."""

    order: Order
    attempts: list[Payment]
    organization: dict[str, Any] | None


async def _standing(tools: ToolsDep, order: Order) -> _Standing:
    async with tools.store.for_tenant(order.tenant_id) as uow:
        current = await uow.orders.find(order.id)
        assert current is not None
        attempts = await uow.payments.of_order(order.id)
        return _Standing(current, attempts, await uow.organizations.document(order.tenant_id))


def _told(standing: _Standing, language: str) -> str | None:
    """Say what holds an unpaid order up: why its last attempt did not succeed, or what nobody pays of it just now."""
    if not standing.attempts:
        return None
    rest = None
    if not any(attempt.is_offered for attempt in standing.attempts):
        rest = explain_rest(standing.order, language)
    return explain_payment(standing.attempts[-1], language) or rest


async def _ask_about(tools: ToolsDep, attempts: list[Payment]) -> bool:
    """Ask the providers about open attempts, where this request is the one that may; return whether any was asked."""
    asked = False
    for attempt in attempts:
        if not attempt.may_be_asked_about(tools.store.clock.now(), ASK_GAP):
            continue
        tenant_id = await tools.checkout.claim(attempt.id, attempt.method, gap=ASK_GAP)
        if tenant_id is not None:
            await tools.checkout.ask(tenant_id, attempt.id)
            asked = True
    return asked
