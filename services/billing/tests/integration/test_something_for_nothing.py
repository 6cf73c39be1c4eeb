"""A payer who wants something for nothing: dearer plans at the price of cheaper ones, one credit or coupon twice."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from billing.testing import (
    ORDERS,
    PAYMENTS,
    Billing,
    by_momo,
    initiate,
    order_body,
    pay_by_transfer,
    place,
    subscribed,
    until_paid,
)
from billing.usecases.steps.drafting import draft_order
from common.ids import uuid7
from common.testing import eventually

pytestmark = pytest.mark.integration
BANK = 3


async def owner_of(billing: Billing, **changes: Any) -> tuple[Any, UUID]:
    me = uuid7()
    buyer = billing.client(user_id=me)
    order = await place(buyer, **changes)
    await by_momo(buyer, order)
    await until_paid(buyer, order)
    tenant_id = await billing.provision(order)
    return billing.client(user_id=me, tenant_id=tenant_id, roles=["owner"]), tenant_id


async def plan_of(billing: Billing, tenant_id: UUID) -> str:
    query = "select plan->>'name' as name from subscriptions where tenant_id = $1"
    return str((await billing.rows(query, t=tenant_id))[0]["name"])


async def approve(billing: Billing, payment_id: str, **who: Any) -> Any:
    finance = billing.client(staff=["finance"], **who)
    body = {"approve": True, "note": "on the statement"}
    return await finance.post(f"{PAYMENTS}{payment_id}/verify_bank_transfer/", json=body)


async def test_a_renewal_cannot_name_another_plan(billing: Billing) -> None:
    owner, tenant_id = await owner_of(billing, plan_id=1, billing_cycle="yearly")
    refused = await owner.post(ORDERS, json=order_body(plan_id=3, kind="renewal"))
    assert (refused.status_code, refused.json()["code"]) == (409, "renewal_of_another_plan")
    assert await plan_of(billing, tenant_id) == "bronze"


@pytest.mark.invariant("S16")
async def test_the_credit_of_a_period_is_given_once(billing: Billing) -> None:
    owner, tenant_id = await owner_of(billing, plan_id=1)
    first = await place(owner, plan_id=2)
    waiting = await initiate(owner, first, BANK)
    second = await place(owner, plan_id=3)
    assert int(first["credit_amount"]) > 0
    assert int(second["credit_amount"]) > 0
    await by_momo(owner, second)
    await until_paid(owner, second)
    assert (await approve(billing, waiting["payment_id"])).status_code == 200
    late = (await owner.get(f"{ORDERS}{first['id']}/")).json()
    assert late["status"] not in {"paid", "completed"}
    assert await plan_of(billing, tenant_id) == "gold"
    cases = await billing.rows("select kind from cases where tenant_id = $1", t=tenant_id)
    assert "order_outdated" in {case["kind"] for case in cases}


@pytest.mark.invariant("S16")
async def test_a_change_is_not_paid_long_after_its_credit_was_computed(billing: Billing) -> None:
    owner, _tenant_id = await owner_of(billing, plan_id=2, billing_cycle="yearly")
    order = await place(owner, plan_id=3, billing_cycle="yearly")
    billing.clock.advance(timedelta(days=300))
    body = {"order_id": order["id"], "payment_method_id": 2, "phone_number": "237670000001"}
    refused = await owner.post(f"{ORDERS}{order['id']}/initiate_payment/", json=body)
    assert (refused.status_code, refused.json()["code"]) == (409, "order_outdated")
    again = await place(owner, plan_id=3, billing_cycle="yearly")
    assert int(again["credit_amount"]) < int(order["credit_amount"]) // 4


@pytest.mark.invariant("S32")
async def test_a_coupon_is_not_free_again_while_a_superseded_payment_may_still_pay(billing: Billing) -> None:
    code = f"P{uuid4().hex[:10]}".upper()
    terms = {"code": code, "reason": "a campaign", "percent": "50", "max_redemptions": 1}
    assert (await billing.client(staff=["finance"]).post("/api/admin/coupons/", json=terms)).status_code == 201
    buyer = billing.client()
    order = await place(buyer, coupon_code=code)
    urls = {"return_url": "https://myapp.com/a", "cancel_url": "https://myapp.com/b"}
    await initiate(buyer, order, 1, **urls)
    transfer = await initiate(buyer, order, BANK)
    finance = billing.client(staff=["finance"])
    rejected = {"approve": False, "note": "nothing came"}
    await finance.post(f"{PAYMENTS}{transfer['payment_id']}/verify_bank_transfer/", json=rejected)
    cancelled = await buyer.post(f"{ORDERS}{order['id']}/cancel/")
    assert cancelled.status_code == 200
    second = await buyer.post(ORDERS, json=order_body(coupon_code=code, plan_id=1))
    assert (second.status_code, second.json()["code"]) == (422, "coupon_refused")
    # PayPal forgets an order that nobody approved: then the coupon is free again.
    gone = "update payments set provider_reference = 'GONE', created_at = created_at - interval '30 days', "
    await billing.rows(f"{gone} next_poll_at = now() where order_id = $1 and method = 'paypal'", o=UUID(order["id"]))

    async def free() -> bool:
        await billing.watch.ask_due()
        return (await buyer.post(ORDERS, json=order_body(coupon_code=code, plan_id=1))).status_code == 201

    await eventually(free, what="the coupon to be free again")


@pytest.mark.invariant("S40")
async def test_the_buyer_of_an_order_does_not_approve_a_colleagues_transfer_for_it(billing: Billing) -> None:
    owner, tenant_id = await owner_of(billing, plan_id=1)
    order = await place(owner)
    me = (await billing.rows("select user_id from orders where id = $1", id=UUID(order["id"])))[0]["user_id"]
    colleague = billing.client(user_id=uuid7(), tenant_id=tenant_id, roles=["admin"])
    waiting = await initiate(colleague, order, BANK)
    refused = await approve(billing, waiting["payment_id"], user_id=me)
    assert (refused.status_code, refused.json()["code"]) == (403, "same_person")


async def test_a_name_has_one_line_so_that_no_mail_gains_a_header_or_loses_its_subject(billing: Billing) -> None:
    order = await place(billing.client(), customer_name="XYZ\r\nBcc: all@xyz.example\x85 SARL ")
    assert order["customer_name"] == "XYZ Bcc: all@xyz.example SARL"


@pytest.mark.invariant("S16")
async def test_what_was_refunded_is_not_credited_by_an_upgrade(world: Any) -> None:
    billing = world.billing
    owner, tenant_id = await subscribed(billing, billing_cycle="yearly")
    paid = (await billing.rows("select id from payments where tenant_id = $1", t=tenant_id))[0]["id"]
    open_before = await place(owner, plan_id=3, billing_cycle="yearly")
    maker, checker = (billing.client(staff=["finance"]) for _ in range(2))
    body = {"amount": "400000", "reason": "a gesture"}
    refund = (await maker.post(f"/api/admin/payments/{paid}/refunds/", json=body)).json()["id"]
    for who, verb, more in ((checker, "approve", {}), (maker, "record", {"reference": str(uuid4())})):
        done = await who.post(f"/api/admin/refunds/{refund}/{verb}/", json={"reason": "a gesture"} | more)
        assert done.status_code == 200, done.text
    after = await place(owner, plan_id=3, billing_cycle="yearly", customer_name="Autre nom")
    assert int(open_before["credit_amount"]) > 490_000
    assert 90_000 < int(after["credit_amount"]) <= 100_000
    stale = await owner.post(f"{ORDERS}{open_before['id']}/initiate_payment/", json={"payment_method_id": 3})
    assert stale.status_code == 409


@pytest.mark.invariant("S16")
async def test_a_renewal_beyond_a_scheduled_smaller_plan_is_of_that_plan(billing: Billing) -> None:
    owner, _ = await subscribed(billing)
    await pay_by_transfer(billing, owner, await place(owner, plan_id=1))
    dearer = await owner.post(ORDERS, json=order_body(plan_id=2, kind="renewal"))
    assert (dearer.status_code, dearer.json()["code"]) == (409, "renewal_of_another_plan")
    further = await place(owner, plan_id=1)
    assert (further["kind"], further["total_amount"]) == ("change", "25000")
    assert further["effective_at"] is not None


async def standing(billing: Billing, tenant_id: UUID) -> tuple[str, Any, int]:
    """Return plan, end, and how many periods count."""
    row = (
        await billing.rows(
            "select plan->>'name' as plan, ends_at, (select count(*) from subscription_periods p where"
            " p.tenant_id = s.tenant_id and replaced_at is null) as periods from subscriptions s where tenant_id = $1",
            t=tenant_id,
        )
    )[0]
    return row["plan"], row["ends_at"], row["periods"]


async def cases_of(billing: Billing, tenant_id: UUID) -> set[str]:
    return {row["kind"] for row in await billing.rows("select kind from cases where tenant_id = $1", t=tenant_id)}


@pytest.mark.invariant("S16")
@pytest.mark.parametrize("paid", ["before", "after"])
async def test_a_renewal_of_before_a_smaller_plan_does_not_bring_the_dearer_one_back(
    billing: Billing, paid: str
) -> None:
    owner, tenant_id = await subscribed(billing, plan_id=3)
    renewal = await place(owner, plan_id=3)
    assert renewal["kind"] == "renewal"
    waiting = await initiate(owner, renewal, BANK)
    await pay_by_transfer(billing, owner, await place(owner, plan_id=1, billing_cycle="yearly"))
    plan, ends_at, periods = await standing(billing, tenant_id)
    assert (plan, periods) == ("gold", 2)
    if paid == "after":
        billing.clock.advance(timedelta(days=32))
        await billing.calendar.run_due()
        assert await plan_of(billing, tenant_id) == "bronze"
    # A new attempt is refused; money that was on its way is kept, and a person decides about it.
    answer = await approve(billing, waiting["payment_id"])
    assert answer.status_code == 200, answer.text
    assert await standing(billing, tenant_id) == ("bronze" if paid == "after" else "gold", ends_at, periods)
    assert "order_outdated" in await cases_of(billing, tenant_id)
    again = await owner.post(f"{ORDERS}{renewal['id']}/initiate_payment/", json={"payment_method_id": BANK})
    # After a month of waiting for its transfer the order was given up, and takes no new payment at all.
    code = "order_not_payable" if paid == "after" else "order_outdated"
    assert (again.status_code, again.json()["code"]) == (409, code)
    invoices = await billing.rows("select 1 from invoices where tenant_id = $1", t=tenant_id)
    assert len(invoices) == 2
    billing.clock.advance(ends_at - billing.clock.now() - timedelta(days=10))
    await billing.calendar.run_due()
    assert await plan_of(billing, tenant_id) == "bronze"


@pytest.mark.invariant("S16")
async def test_an_upgrade_that_was_priced_before_a_renewal_was_paid_does_not_swallow_it(billing: Billing) -> None:
    owner, tenant_id = await subscribed(billing, plan_id=1)
    renewal = await place(owner, plan_id=1)
    waiting = await initiate(owner, renewal, BANK)
    upgrade = await place(owner, plan_id=3)
    asked = await initiate(owner, upgrade, BANK)
    assert (await approve(billing, waiting["payment_id"])).status_code == 200
    assert (await approve(billing, asked["payment_id"])).status_code == 200
    plan, _, periods = await standing(billing, tenant_id)
    assert (plan, periods) == ("bronze", 2), "both paid months are there still"
    assert "order_outdated" in await cases_of(billing, tenant_id)
    refused = await owner.post(f"{ORDERS}{upgrade['id']}/initiate_payment/", json={"payment_method_id": BANK})
    assert (refused.status_code, refused.json()["code"]) == (409, "order_outdated")
    anew = await place(owner, plan_id=3, customer_name="Autre nom")
    assert [one["cost_minor"] for one in anew["proration"]["unused"]] == [25_000, 25_000]
    assert 49_990 <= anew["proration"]["credit_minor"] <= 50_000


@pytest.mark.invariant("S16")
async def test_a_change_that_needs_no_money_does_not_swallow_a_renewal_that_is_paid_beside_it(
    billing: Billing, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, tenant_id = await subscribed(billing, plan_id=3)
    renewal = await place(owner, plan_id=3)
    waiting = await initiate(owner, renewal, BANK)

    async def overtaken(*args: Any, **kwargs: Any) -> Any:
        draft = await draft_order(*args, **kwargs)
        if not draft.order.amounts.total:
            assert (await approve(billing, waiting["payment_id"])).status_code == 200
        return draft

    with monkeypatch.context() as patched:
        patched.setattr("billing.usecases.place_order.draft_order", overtaken)
        refused = await owner.post(ORDERS, json=order_body(plan_id=1, effective="now"))
    assert (refused.status_code, refused.json()["code"]) == (409, "order_outdated")
    plan, _, periods = await standing(billing, tenant_id)
    assert (plan, periods) == ("gold", 2)
    anew = await place(owner, plan_id=1, effective="now")
    assert 199_980 <= anew["proration"]["credit_minor"] <= 200_000
    assert anew["status"] == "completed"


@pytest.mark.invariant("S16")
async def test_an_upgrade_of_the_grace_does_not_swallow_the_month_that_was_paid_since(billing: Billing) -> None:
    owner, tenant_id = await subscribed(billing, plan_id=1)
    billing.clock.advance(timedelta(days=33))
    await billing.calendar.run_due()
    renewal = await place(owner, plan_id=1)
    waiting = await initiate(owner, renewal, BANK)
    upgrade = await place(owner, plan_id=3)
    assert upgrade["credit_amount"] == "0"
    asked = await initiate(owner, upgrade, BANK)
    assert (await approve(billing, waiting["payment_id"])).status_code == 200
    assert (await approve(billing, asked["payment_id"])).status_code == 200
    plan, ends_at, periods = await standing(billing, tenant_id)
    assert (plan, periods) == ("bronze", 2)
    assert ends_at > billing.clock.now() + timedelta(days=20)
    assert "order_outdated" in await cases_of(billing, tenant_id)
