"""Place an order for a person, or a customer's change of plan that staff asks for.

The same unpaid one is found, an organization's id reserved, and what it replaces cancelled.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from common.auth import Principal
from common.idempotency import once
from common.ids import uuid7

from billing.domain.order import SAME_ORDER_WINDOW, SECOND_CLICK, SETTLED, Order, OrderKind, WantedOrder
from billing.domain.particulars import carried_over
from billing.domain.plan import BillingCycle
from billing.errors import (
    OrderNotCancellable,
    OrderOutdated,
    OrganizationNotActive,
    OrganizationNotFound,
    OrganizationOwnerRequired,
    PlanUnchanged,
    SamePersonChanges,
    SubscriptionNotFound,
)
from billing.persistence.unit_of_work import BillingStore, UnitOfWork
from billing.usecases.cancel_order import cancel_order
from billing.usecases.expire_order import expire_order
from billing.usecases.pay_by_credit import pay_by_credit
from billing.usecases.place_order import place_order
from billing.usecases.preview_order import Preview, preview_of, preview_order
from billing.usecases.steps.drafting import Selling
from billing.usecases.steps.settlement import is_outdated, settle

NEVER = timedelta(days=36_500)
"""How long a transfer is waited for whose order was overtaken: finance decides what becomes of it."""

Answer = Callable[[UnitOfWork, Order], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request for an order: who sends it, and what its Idempotency-Key is remembered by.

    Attributes:
        any_kind: Whether it left open which kind of order it is.
    """

    by: UUID
    route: str
    key: str | None
    body: bytes
    any_kind: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanWanted:
    """Which plan staff wants an organization to have, and from when."""

    plan_id: int
    billing_cycle: BillingCycle
    effective_now: bool
    coupon_code: str | None
    reason: str


async def resolve_target(
    store: BillingStore, who: Principal, wanted: WantedOrder, *, kind: OrderKind | None, organization_id: UUID | None
) -> tuple[WantedOrder, UUID | None]:
    """Decide for which organization an order is, and of which kind.

    Returns:
        The wish with its kind, and the organization; ``None`` for a new one.

    Raises:
        OrganizationNotFound: The named organization is not the caller's.
        OrganizationNotActive: It is his, but another one is active.
        OrganizationOwnerRequired: Only its owner orders for it.
    """
    if organization_id is not None and organization_id != who.active_tenant_id:
        async with store.for_user(who.user_id) as mine:
            owned = await mine.organizations.document(organization_id)
        raise OrganizationNotActive if owned is not None else OrganizationNotFound
    active = who.active_tenant_id
    if kind is OrderKind.NEW or active is None:
        if kind not in {None, OrderKind.NEW}:
            raise OrganizationOwnerRequired
        return replace(wanted, kind=OrderKind.NEW), None
    if "owner" not in who.roles:
        raise OrganizationOwnerRequired
    if kind is None:
        async with store.for_tenant(active) as uow:
            running = await uow.subscriptions.find(active)
        same = running is not None and running.plan.id == wanted.plan_id
        kind = OrderKind.RENEWAL if same else OrderKind.CHANGE
    return replace(wanted, kind=kind), active


async def order_for(
    store: BillingStore,
    buyer: UUID,
    wanted: WantedOrder,
    organization_id: UUID | None,
    selling: Selling,
    *,
    holds: timedelta,
    asked: Asked,
    answer: Answer,
    must: Callable[[UnitOfWork], Awaitable[None]] | None = None,
) -> tuple[int, dict[str, Any]]:
    """Place the order, or return the same unpaid one of the last hour or the one that was made ahead; an older other
    one is cancelled, by staff only where it is for the same organization, and so is the same one where its price does
    not hold any more.

    Two submissions of one person at a time wait for each other, so a double click makes one order, also where nothing
    was to pay: the first has changed the plan then, and the second would be a renewal of that.

    Args:
        store: The three doors.
        buyer: Whose order it is.
        wanted: What is wanted, its kind resolved.
        organization_id: For which organization; ``None`` for a new one.
        selling: How this deployment sells.
        holds: After how long it is cancelled unless it is paid.
        asked: Who asks: the buyer, or staff for him.
        answer: Makes the answer, in the order's transaction.
        must: Raises where nothing may be placed; not asked where the same order or request is found.

    Returns:
        Status and JSON answer; with an Idempotency-Key, those of its first use.

    Raises:
        OrderOutdated: An order that needs no money was overtaken by one that was paid; nothing is placed.
    """
    async with store.for_user(buyer) as mine:
        await mine.serialize(buyer)
        unpaid = await _unpaid(store, mine, buyer, organization_id)
        if asked.by != buyer:
            unpaid = [order for order in unpaid if order.tenant_id == organization_id]
        same = next((order for order in unpaid if wanted.is_of(order, organization_id)), None)
        if same is None and asked.by == buyer and asked.key is None:
            same = await _clicked_before(store, mine, buyer, wanted, organization_id, any_kind=asked.any_kind)
        tenant_id = same.tenant_id if same else organization_id or uuid7()
        async with store.for_tenant(tenant_id, acting=asked.by) as uow:
            placed: list[Order] = []

            async def act() -> tuple[int, dict[str, Any]]:
                if same is not None and (same.status in SETTLED or not await _overtaken(uow, same, selling)):
                    return 201, await answer(uow, same)
                if must is not None:
                    await must(uow)
                placed.append(await _place(uow, wanted, tenant_id, buyer, selling, holds))
                return 201, await answer(uow, placed[0])

            answered = await once(uow, asked.by, asked.route, asked.key, asked.body, act)
    if placed:
        await _cancel_replaced(store, unpaid)
    return answered


async def preview_for(
    store: BillingStore,
    who: Principal,
    wanted: WantedOrder,
    organization_id: UUID | None,
    selling: Selling,
    *,
    any_kind: bool = False,
) -> Preview:
    """Return what `order_for` would answer, were it asked now without an Idempotency-Key: by a draft, or by the same
    order, at its price and with its use of a coupon.

    Raises:
        DomainError: As placing it would.
    """
    async with store.for_user(who.user_id) as mine:
        unpaid = await _unpaid(store, mine, who.user_id, organization_id)
        same = next((order for order in unpaid if wanted.is_of(order, organization_id)), None)
        if same is None:
            same = await _clicked_before(store, mine, who.user_id, wanted, organization_id, any_kind=any_kind)
    tenant_id = same.tenant_id if same else organization_id or uuid7()
    async with store.for_tenant(tenant_id, acting=who.user_id) as uow:
        if same is not None and (same.status in SETTLED or not await _overtaken(uow, same, selling)):
            return await preview_of(uow, same)
        preview = await preview_order(uow, wanted, selling, tenant_id=tenant_id, user_id=who.user_id)
        await uow.session.rollback()  # placing would cancel what was overtaken; showing it changes nothing
        return preview


async def _overtaken(uow: UnitOfWork, same: Order, selling: Selling) -> bool:
    """Say whether an order can't be paid any more as it is, and cancel it then, as if its time were over.

    Where a person or a provider has money for it in hand it stays, and still another one takes its place.
    """
    if not await is_outdated(uow, same, await uow.subscriptions.find(same.tenant_id)):
        return False
    await expire_order(uow, same.id, give_up=NEVER, issuer=selling.issuer)
    return True


async def change_for_customer(
    store: BillingStore,
    tenant_id: UUID,
    wanted: PlanWanted,
    selling: Selling,
    *,
    holds: timedelta,
    asked: Asked,
    answer: Answer,
) -> tuple[int, dict[str, Any]]:
    """Order a change of plan for an organization, as its owner would, at the price that he would pay.

    Nothing is given away by it: what credit, or a coupon that finance made, does not pay, the customer is told how to
    pay, and his plan changes when he has. The act, or what was read for one that is refused, is in the organization's
    audit log with its reason.

    Returns:
        Status and JSON answer, as `order_for` says.

    Raises:
        SubscriptionNotFound: No such organization, or it has no subscription.
        SamePersonChanges: It is this person's own organization or purchase.
        PlanUnchanged: It has this plan, paid in this way, and no other one waits to take its place.
        DomainError: As placing it would.
    """
    async with store.for_tenant(tenant_id) as uow:
        running, last = await uow.subscriptions.find(tenant_id), await uow.subscriptions.last_period()
        former = await uow.orders.find(last[0]) if last else None
        if running is None or former is None:
            raise SubscriptionNotFound
        owner = await uow.organizations.owner(tenant_id)
        stated = await uow.particulars.known(tenant_id)
        await uow.audit("subscription.read_by_staff", str(tenant_id), actor=asked.by, reason=wanted.reason)
    if asked.by in {owner, former.user_id}:
        raise SamePersonChanges
    order = WantedOrder(
        plan_id=wanted.plan_id,
        billing_cycle=wanted.billing_cycle,
        customer=carried_over(former, stated),
        coupon_code=wanted.coupon_code,
        kind=OrderKind.CHANGE,
        effective_now=wanted.effective_now,
        language=former.language,
    )

    async def changes(uow: UnitOfWork) -> None:
        now = await uow.subscriptions.find(tenant_id)
        same = now is not None and (now.plan.id, now.cycle) == (order.plan_id, order.billing_cycle)
        if same and await uow.subscriptions.paid_ahead_is_of(order.plan_id):
            raise PlanUnchanged

    async def audited(uow: UnitOfWork, ordered: Order) -> dict[str, Any]:
        await uow.audit(
            "plan.change_ordered_by_staff",
            str(ordered.id),
            actor=asked.by,
            reason=wanted.reason,
            before={"plan": running.plan.name, "cycle": running.cycle.value},
            after={"plan": ordered.plan.name, "cycle": ordered.cycle.value},
        )
        return await answer(uow, ordered)

    buyer = owner or former.user_id
    return await order_for(
        store, buyer, order, tenant_id, selling, holds=holds, asked=asked, must=changes, answer=audited
    )


async def _unpaid(store: BillingStore, mine: UnitOfWork, buyer: UUID, organization_id: UUID | None) -> list[Order]:
    """Return the orders that an equal one would be, or that another one takes the place of."""
    unpaid = await mine.orders.unpaid_of(buyer, store.clock.now() - SAME_ORDER_WINDOW)
    return unpaid + await _made_ahead(store, organization_id, known={order.id for order in unpaid})


async def _clicked_before(
    store: BillingStore,
    mine: UnitOfWork,
    buyer: UUID,
    wanted: WantedOrder,
    organization_id: UUID | None,
    *,
    any_kind: bool,
) -> Order | None:
    """Return the order of a moment ago that was the same wish and that no payment was made for."""
    kinds = {kind: None if kind is OrderKind.NEW else organization_id for kind in OrderKind}
    if not any_kind:
        kinds = {wanted.kind: organization_id}
    for order in await mine.orders.settled_of(buyer, store.clock.now() - SECOND_CLICK):
        same = any(replace(wanted, kind=kind).is_of(order, tenant_id) for kind, tenant_id in kinds.items())
        if same and not await mine.payments.of_order(order.id):
            return order
    return None


async def _made_ahead(store: BillingStore, organization_id: UUID | None, known: set[UUID]) -> list[Order]:
    """Return the renewal that was ordered ahead for the organization: a customer's own takes its place."""
    if organization_id is None:
        return []
    async with store.for_tenant(organization_id) as uow:
        running = await uow.subscriptions.find(organization_id)
        ahead = await uow.orders.renewal_of(running.plan.id, running.ends_at) if running else None
    return [ahead] if ahead and ahead.id not in known else []


async def _place(
    uow: UnitOfWork, wanted: WantedOrder, tenant_id: UUID, user_id: UUID, selling: Selling, holds: timedelta
) -> Order:
    order = await place_order(uow, wanted, selling, tenant_id=tenant_id, user_id=user_id, holds=holds)
    if not order.amounts.total:
        if not await settle(uow, order, selling.issuer, None):
            # Another owner's change of plan was there first.
            raise OrderOutdated
    elif order.kind is not OrderKind.NEW:  # a new organization has no credit
        await pay_by_credit(uow, order.id, selling.issuer)
    placed = await uow.orders.find(order.id)
    assert placed is not None
    return placed


async def _cancel_replaced(store: BillingStore, unpaid: list[Order]) -> None:
    for older in unpaid:
        async with store.for_tenant(older.tenant_id) as uow:
            try:
                await cancel_order(uow, older.id)
            except OrderNotCancellable:
                continue
