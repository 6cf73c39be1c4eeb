"""Orders in XAF, EUR and USD: the price of each, who pays it, and that no two currencies ever meet in one sum."""

import asyncio
import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from billing.testing import (
    ORDERS,
    PAYMENTS,
    Billing,
    by_momo,
    by_paypal,
    initiate,
    order_body,
    pay_by_transfer,
    place,
    subscribed,
    until_paid,
    verify,
)
from common.ids import uuid7

pytestmark = pytest.mark.integration

SUBSCRIPTION = "/api/tenants/subscription/"
VALIDATE = "/api/tenants/coupons/validate/"
LAPSE = timedelta(days=31 + 7 + 1)
"""A month and the grace: nothing of it is paid ahead or served any more."""


async def pay_by_paypal(world: Any, client: Any, order: dict[str, Any]) -> dict[str, Any]:
    started = await by_paypal(client, order)
    await world.approve(started["redirect_url"])
    return await until_paid(client, order)


async def refused(client: Any, **changes: Any) -> tuple[int, str]:
    answer = await client.post(ORDERS, json=order_body(**changes))
    return answer.status_code, answer.json()["code"]


async def lapsed(billing: Billing, tenant_id: UUID) -> None:
    """Let the paid month and its grace pass, and the calendar with them."""
    for span in (timedelta(days=32), timedelta(days=8)):
        billing.clock.advance(span)
        while await billing.calendar.advance(tenant_id):
            pass


async def balances(billing: Billing, tenant_id: UUID) -> dict[tuple[str, str], int]:
    rows = await billing.rows(
        "select account, currency, sum(amount_minor)::bigint as balance from ledger_postings where tenant_id = $1"
        " group by 1, 2 having sum(amount_minor) <> 0",
        t=tenant_id,
    )
    return {(row["account"], row["currency"]): row["balance"] for row in rows}


async def each_currency_balances(billing: Billing, tenant_id: UUID) -> bool:
    totals: dict[str, int] = {}
    for (_, currency), balance in (await balances(billing, tenant_id)).items():
        totals[currency] = totals.get(currency, 0) + balance
    return not any(totals.values())


@pytest.mark.invariant("S16")
@pytest.mark.parametrize(
    ("currency", "monthly", "yearly"),
    [("XAF", "50000", "500000"), ("EUR", "76.22", "762.25"), ("USD", "90.00", "900.00")],
)
async def test_an_order_costs_the_plans_price_in_the_currency_that_is_chosen(
    billing: Billing, currency: str, monthly: str, yearly: str
) -> None:
    for cycle, price in (("monthly", monthly), ("yearly", yearly)):
        order = await place(billing.client(), currency=currency, billing_cycle=cycle)
        assert (order["subtotal"], order["total_amount"], order["currency"]) == (price, price, currency)
    rows = await billing.rows("select distinct currency from orders where id = $1", id=UUID(order["id"]))
    assert [row["currency"] for row in rows] == [currency]


async def test_without_a_currency_an_order_is_in_the_deployments(billing: Billing) -> None:
    assert (await place(billing.client()))["currency"] == "XAF"


@pytest.mark.parametrize("currency", ["ZZZ", "GBP", "JPY"])
async def test_a_currency_without_a_price_is_refused_with_those_that_have_one(billing: Billing, currency: str) -> None:
    answer = await billing.client().post(ORDERS, json=order_body(currency=currency))
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["sold"]) == (422, "currency_not_sold", "EUR, USD, XAF")
    assert "EUR, USD, XAF" in problem["detail"]


@pytest.mark.parametrize("currency", ["eur", "", "EURO", 978, ["EUR"], "EU\u0000"])
async def test_what_is_no_currency_is_bad_input_and_orders_nothing(billing: Billing, currency: Any) -> None:
    buyer = billing.client()
    answer = await buyer.post(ORDERS, json=order_body(currency=currency))
    assert answer.status_code == 422
    assert (await buyer.get(ORDERS)).json()["results"] == []


async def test_the_same_wish_in_another_currency_is_another_order(billing: Billing) -> None:
    buyer = billing.client()
    first = await place(buyer, currency="EUR")
    assert (await place(buyer, currency="EUR"))["id"] == first["id"]
    second = await place(buyer, currency="USD")
    assert (second["currency"], second["total_amount"]) == ("USD", "90.00")
    assert (await buyer.get(f"{ORDERS}{first['id']}/")).json()["status"] == "cancelled"


async def test_each_method_says_which_orders_it_pays(billing: Billing) -> None:
    methods = (await billing.client(anonymous=True).get("/api/tenants/payment-methods/")).json()["results"]
    assert {method["name"]: method["currencies"] for method in methods} == {
        "paypal": ["XAF", "EUR", "USD"],
        "mtn_momo": ["XAF"],
        "bank_transfer": ["XAF"],
    }


@pytest.mark.parametrize("currency", ["EUR", "USD"])
@pytest.mark.parametrize("method", [2, 3])
async def test_a_method_pays_no_order_of_another_currency(billing: Billing, currency: str, method: int) -> None:
    buyer = billing.client()
    order = await place(buyer, currency=currency)
    body = {"payment_method_id": method, "phone_number": "237670000001"}
    answer = await buyer.post(f"{ORDERS}{order['id']}/initiate_payment/", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "payment_method_currency")
    assert (await buyer.get(f"{ORDERS}{order['id']}/")).json()["status"] == "pending"
    assert await billing.rows("select 1 from payments where order_id = $1", id=UUID(order["id"])) == []


@pytest.mark.invariant("S19")
@pytest.mark.parametrize(
    ("currency", "charged", "rate"),
    [("EUR", (7_622, "EUR"), (1, 1)), ("USD", (9_000, "USD"), (1, 1)), ("XAF", (7_622, "EUR"), (655_957, 1_000))],
)
async def test_paypal_is_charged_exactly_the_total_and_francs_at_the_fixed_rate(
    world: Any, currency: str, charged: tuple[int, str], rate: tuple[int, int]
) -> None:
    billing = world.billing
    buyer = billing.client()
    order = await place(buyer, currency=currency)
    await pay_by_paypal(world, buyer, order)
    (payment,) = await billing.rows("select * from payments where order_id = $1", id=UUID(order["id"]))
    assert (payment["charged_minor"], payment["charged_currency"]) == charged
    assert (payment["settled_minor"], payment["settled_currency"]) == charged
    assert (payment["rate_numerator"], payment["rate_denominator"]) == rate
    (invoice,) = await billing.rows("select * from invoices where order_id = $1", id=UUID(order["id"]))
    assert (invoice["total_minor"], invoice["currency"]) == (payment["amount_minor"], currency)
    assert await each_currency_balances(billing, payment["tenant_id"])


async def test_a_coupon_is_looked_at_in_the_currency_that_its_order_would_have(world: Any) -> None:
    billing = world.billing
    me, code = uuid7(), f"USD{uuid4().hex[:8]}".upper()
    made = {"code": code, "reason": "a campaign", "amounts": {"USD": "10.00"}}
    assert (await billing.client(staff=["finance"]).post("/api/admin/coupons/", json=made)).status_code == 201
    order = await place(buyer := billing.client(user_id=me), currency="USD")
    await pay_by_paypal(world, buyer, order)
    tenant_id = await billing.provision(order)
    owner = billing.client(user_id=me, tenant_id=tenant_id, roles=["owner"])
    wish = {"code": code, "plan_id": 2, "billing_cycle": "monthly"}
    shown = (await owner.post(VALIDATE, json=wish)).json()
    assert (shown["valid"], shown["discount_amount"], shown["currency"]) == (True, "10.00", "USD")
    stranger = (await billing.client().post(VALIDATE, json=wish)).json()
    assert (stranger["valid"], stranger["reason"], stranger["currency"]) == (False, "other_currency", "XAF")
    unsold = await owner.post(VALIDATE, json=wish | {"currency": "GBP"})
    assert (unsold.status_code, unsold.json()["code"]) == (422, "currency_not_sold")


@pytest.mark.invariant("S16")
async def test_a_subscription_is_renewed_in_its_currency_and_refuses_another(world: Any) -> None:
    billing = world.billing
    me = uuid7()
    buyer = billing.client(user_id=me)
    order = await place(buyer, currency="USD")
    await pay_by_paypal(world, buyer, order)
    tenant_id = await billing.provision(order)
    owner = billing.client(user_id=me, tenant_id=tenant_id, roles=["owner"])
    assert (await owner.get(SUBSCRIPTION)).json()["currency"] == "USD"
    for wish in ({}, {"plan_id": 3}, {"plan_id": 1}, {"plan_id": 1, "effective": "now"}):
        for other in ("XAF", "EUR"):
            assert await refused(owner, currency=other, **wish) == (409, "subscription_currency")
    for wish in ({}, {"plan_id": 1}):
        assert (await place(owner, **wish))["currency"] == "USD"
    upgrade = await place(owner, plan_id=3)
    shown = upgrade["proration"]
    assert (shown["currency"], shown["price_minor"]) == ("USD", 18_000)
    assert 8_990 <= shown["credit_minor"] <= 9_000
    assert shown["due_minor"] == 18_000 - shown["credit_minor"]
    assert "90.00\u00a0USD" in shown["explanation"]
    # Mobile Money renews nothing in dollars: he is told so, and not only when it fails.
    agreed = await owner.post(f"{SUBSCRIPTION}auto_renew/", json={"enabled": True, "phone_number": "237670000001"})
    assert (agreed.status_code, agreed.json()["code"]) == (422, "payment_method_currency")
    billing.clock.advance(timedelta(days=25))
    await billing.calendar.advance(tenant_id)
    (ahead,) = await billing.rows(
        "select total_minor, currency from orders where tenant_id = $1 and kind = 'renewal' and effective_at is not null",
        t=tenant_id,
    )
    assert ahead == {"total_minor": 9_000, "currency": "USD"}


async def test_a_renewal_costs_what_it_did_in_its_currency_after_the_price_has_changed(world: Any) -> None:
    billing = world.billing
    me = uuid7()
    buyer = billing.client(user_id=me)
    order = await place(buyer, currency="USD")
    await pay_by_paypal(world, buyer, order)
    tenant_id = await billing.provision(order)
    owner = billing.client(user_id=me, tenant_id=tenant_id, roles=["owner"])
    finance = billing.client(staff=["finance"])
    path = "/api/admin/plans/2/"
    for amount in ("120.00", "90.00"):
        price = {"billing_cycle": "monthly", "currency": "USD", "amount": amount}
        changed = await finance.patch(path, json={"prices": [price], "reason": "a new price"})
        assert changed.status_code == 200, changed.text
        assert (await place(owner, customer_name=amount))["total_amount"] == "90.00"
        assert (await place(billing.client(), currency="USD"))["total_amount"] == amount
        assert (await place(billing.client()))["total_amount"] == "50000"


@pytest.mark.invariant("S16")
async def test_a_subscription_that_has_run_out_begins_again_in_another_currency(world: Any) -> None:
    billing = world.billing
    owner, tenant_id = await subscribed(billing)
    agreed = await owner.post(f"{SUBSCRIPTION}auto_renew/", json={"enabled": True, "phone_number": "237670000001"})
    assert agreed.status_code == 200, agreed.text
    billing.clock.advance(timedelta(days=32))
    while await billing.calendar.advance(tenant_id):
        pass
    assert (await owner.get(SUBSCRIPTION)).json()["status"] == "past_due"
    assert await refused(owner, currency="USD") == (409, "subscription_currency")
    billing.clock.advance(timedelta(days=8))
    while await billing.calendar.advance(tenant_id):
        pass
    assert (await owner.get(SUBSCRIPTION)).json()["status"] == "suspended"
    francs = await place(owner)
    waiting = await initiate(owner, francs, 3)
    dollars = await place(owner, currency="USD")
    assert (dollars["kind"], dollars["currency"], dollars["total_amount"]) == ("renewal", "USD", "90.00")
    await pay_by_paypal(world, owner, dollars)
    now = (await owner.get(SUBSCRIPTION)).json()
    assert (now["status"], now["currency"], now["auto_renew"]) == ("active", "USD", False)
    assert now["auto_renew_phone"] is None, "what it was given for has ended"
    # The transfer in francs that was on its way is kept, follows nothing, and a person decides about it.
    path = f"{PAYMENTS}{waiting['payment_id']}/verify_bank_transfer/"
    assert (await billing.client(staff=["finance"]).post(path, json={"approve": True})).status_code == 200
    assert (await owner.get(SUBSCRIPTION)).json()["ends_at"] == now["ends_at"]
    cases = await billing.rows("select kind from cases where tenant_id = $1", t=tenant_id)
    assert "order_outdated" in {case["kind"] for case in cases}
    ahead = await billing.rows(
        "select currency from subscription_periods where tenant_id = $1 and replaced_at is null and ends_at > $2",
        t=tenant_id,
        now=billing.clock.now(),
    )
    assert [row["currency"] for row in ahead] == ["USD"]
    assert await each_currency_balances(billing, tenant_id)


@pytest.mark.invariant("S16")
async def test_of_two_currencies_paid_at_once_one_begins_it_again(world: Any) -> None:
    billing = world.billing
    owner, tenant_id = await subscribed(billing)
    await lapsed(billing, tenant_id)
    francs = await place(owner)
    waiting = await initiate(owner, francs, 3)
    dollars = await place(owner, currency="USD")
    started = await by_paypal(owner, dollars)
    await world.approve(started["redirect_url"])
    finance = billing.client(staff=["finance"])
    path = f"{PAYMENTS}{waiting['payment_id']}/verify_bank_transfer/"
    await asyncio.gather(
        finance.post(path, json={"approve": True}), owner.post(f"{ORDERS}{dollars['id']}/verify_payment/")
    )

    async def state(order: dict[str, Any]) -> str:
        return str((await owner.get(f"{ORDERS}{order['id']}/")).json()["status"])

    states = [await state(francs), await state(dollars)]
    assert sorted(one == "completed" for one in states) == [False, True], states
    running = (await owner.get(SUBSCRIPTION)).json()
    assert running["currency"] == ("XAF" if states[0] == "completed" else "USD")
    periods = await billing.rows("select 1 from subscription_periods where tenant_id = $1", t=tenant_id)
    assert len(periods) == 2
    cases = await billing.rows("select kind from cases where tenant_id = $1", t=tenant_id)
    assert [case["kind"] for case in cases] == ["order_outdated"]
    assert await each_currency_balances(billing, tenant_id)


@pytest.mark.invariant("S31")
async def test_a_refund_goes_back_in_the_currency_that_was_paid(world: Any) -> None:
    billing = world.billing
    me = uuid7()
    buyer = billing.client(user_id=me)
    order = await place(buyer, currency="USD")
    await pay_by_paypal(world, buyer, order)
    (payment,) = await billing.rows("select id, tenant_id from payments where order_id = $1", id=UUID(order["id"]))
    maker, checker = (billing.client(staff=["finance"]) for _ in range(2))
    path = f"/api/admin/payments/{payment['id']}/refunds/"
    for wrong in ("90", "90.001", "90.01", "-1.00"):
        assert (await maker.post(path, json={"reason": "withdrawn", "amount": wrong})).status_code in {409, 422}
    asked = (await maker.post(path, json={"reason": "withdrawn", "amount": "30.01"})).json()
    sent = await checker.post(f"/api/admin/refunds/{asked['id']}/approve/", json={"reason": "fine"})
    assert (sent.json()["status"], sent.json()["amount"], sent.json()["currency"]) == ("completed", "30.01", "USD")
    (note,) = await billing.rows(
        "select total_minor, currency from credit_notes where tenant_id = $1", t=payment["tenant_id"]
    )
    assert note == {"total_minor": 3_001, "currency": "USD"}
    books = await balances(billing, payment["tenant_id"])
    assert books == {("clearing:paypal", "USD"): 5_999, ("revenue", "USD"): -5_999}


@pytest.mark.invariant("S91")
@pytest.mark.parametrize(("language", "subject"), [("fr", "Renouvellement automatique"), ("en", "Automatic renewal")])
async def test_consent_to_renewals_that_ends_with_its_currency_is_audited_and_told_once(
    world: Any, language: str, subject: str
) -> None:
    billing = world.billing
    (owner, tenant_id), (_, other) = await subscribed(billing), await subscribed(billing)
    phone = {"enabled": True, "phone_number": "237670000001"}
    assert (await owner.post(f"{SUBSCRIPTION}auto_renew/", json=phone)).status_code == 200
    await lapsed(billing, tenant_id)
    told = "select subject from mails where tenant_id = $1 and key like 'auto_renewal_ended:%'"
    audited = "select actor, details from audit_log where tenant_id = $1 and action = 'subscription.auto_renewal_ended'"
    owner.headers["accept-language"] = language
    dollars = await place(owner, currency="USD")
    assert await billing.rows(told, t=tenant_id) == [], "it ends when it is paid, and not before"
    await pay_by_paypal(world, owner, dollars)
    await asyncio.gather(*(verify(owner, dollars) for _ in range(50)))
    (mail,) = await billing.rows(told, t=tenant_id)
    assert mail["subject"].startswith(subject)
    assert dollars["order_number"] in mail["subject"]
    (row,) = await billing.rows(audited, t=tenant_id)
    assert row["actor"] == "billing"
    changed = {"before": {"currency": "XAF"}, "after": {"currency": "USD"}}
    assert json.loads(row["details"]) == changed
    (kept,) = await billing.rows(
        "select auto_renew, auto_renew_phone from subscriptions where tenant_id = $1", t=tenant_id
    )
    assert kept == {"auto_renew": False, "auto_renew_phone": None}
    # Who never agreed, or stays in his currency, is told nothing.
    await lapsed(billing, tenant_id)
    again = await place(owner, currency="EUR")
    await pay_by_paypal(world, owner, again)
    assert len(await billing.rows(told, t=tenant_id)) == len(await billing.rows(audited, t=tenant_id)) == 1
    assert await billing.rows(told, t=other) == await billing.rows(audited, t=other) == []


async def test_a_renewal_in_its_currency_keeps_the_consent(billing: Billing) -> None:
    owner, tenant_id = await subscribed(billing)
    phone = {"enabled": True, "phone_number": "237670000001"}
    assert (await owner.post(f"{SUBSCRIPTION}auto_renew/", json=phone)).status_code == 200
    await pay_by_transfer(billing, owner, await place(owner))
    rows = await billing.rows(
        "select auto_renew, auto_renew_phone from subscriptions where tenant_id = $1", t=tenant_id
    )
    assert rows == [{"auto_renew": True, "auto_renew_phone": "237670000001"}]


class TestOfAnotherDeployment:
    """It sells in euros, and its bank account is in euros."""

    @pytest.fixture
    def billing_settings(self) -> dict[str, Any]:
        return {
            "catalogue_currency": "EUR",
            "bank_currency": "EUR",
            "issuer_vat_registered": True,
            "issuer_rccm": "RC/DLA/2026/B/1",
            "issuer_niu": "M012600001234A",
        }

    async def test_its_catalogue_and_its_orders_are_in_euros(self, billing: Billing) -> None:
        plan = (await billing.client(anonymous=True).get("/api/tenants/plans/2/")).json()
        assert (plan["monthly_price"], plan["yearly_price"], plan["currency"]) == ("76.22", "762.25", "EUR")
        order = await place(billing.client())
        # 17.5 % and 1.75 % of 7 622 cents are 1 333.85 and 133.385 cents: each is rounded once.
        assert (order["tax_amount"], order["total_amount"], order["currency"]) == ("14.67", "90.89", "EUR")

    async def test_a_statement_pays_transfers_in_its_currency_only(self, billing: Billing) -> None:
        me = uuid7()
        buyer, finance, checker = billing.client(user_id=me), *(billing.client(staff=["finance"]) for _ in range(2))
        order = await place(buyer)
        details = (await initiate(buyer, order, 3))["bank_details"]
        assert (details["amount"], details["currency"]) == ("90.89", "EUR")
        # Another currency is no payment of it, however much it quotes; without one, it is the account's.
        for currency, amount, proposed in (("XAF", "90", 0), ("USD", "90,89", 0), ("", "90,89", 1)):
            content = (
                "Date;Libellé;Crédit;Devise;Référence\n"
                f"24/11/2026;VIR {details['reference']};{amount};{currency};{uuid4().hex}\n"
            )
            sent = await finance.post(
                "/api/admin/bank-statements/", files={"file": ("releve.csv", content.encode(), "text/csv")}
            )
            assert (sent.status_code, sent.json()["proposed"]) == (201, proposed), sent.text
        lines = (await checker.get("/api/admin/bank-statement-lines/", params={"limit": 100})).json()["results"]
        (line,) = [one for one in lines if details["reference"] in one["text"]]
        assert (line["amount"], line["currency"], line["fit"]) == ("90.89", "EUR", "exact")
        done = await checker.post(f"/api/admin/bank-statement-lines/{line['id']}/approve/", json={"note": "seen"})
        assert done.status_code == 200, done.text
        owner = billing.client(user_id=me, tenant_id=await billing.provision(order), roles=["owner"])
        (invoice,) = (await owner.get("/api/tenants/invoices/")).json()["results"]
        assert (invoice["total_amount"], invoice["currency"]) == ("90.89", "EUR")
        paper = await owner.get(f"/api/tenants/invoices/{invoice['id']}/download/")
        assert paper.content[:5] == b"%PDF-"

    @pytest.mark.invariant("S24")
    async def test_unused_time_in_euros_stays_credit_in_euros_and_pays_nothing_in_francs(self, world: Any) -> None:
        billing = world.billing
        # Francs first, so that an invoice in another currency is among those that could be taken back.
        me = uuid7()
        buyer = billing.client(user_id=me)
        first = await place(buyer, currency="XAF")
        await by_momo(buyer, first)
        await until_paid(buyer, first)
        tenant_id = await billing.provision(first)
        owner = billing.client(user_id=me, tenant_id=tenant_id, roles=["owner"])
        await lapsed(billing, tenant_id)
        again = await place(owner, plan_id=3, currency="EUR", kind="change")
        await pay_by_transfer(billing, owner, again)
        smaller = await place(owner, plan_id=1, effective="now")
        assert (smaller["status"], smaller["currency"], smaller["total_amount"]) == ("completed", "EUR", "0.00")
        left = smaller["proration"]["credit_left_minor"]
        assert 11_400 <= left <= 11_434
        (note,) = await billing.rows(
            "select n.total_minor, n.currency, i.currency as of_currency from credit_notes n"
            " join invoices i on i.id = n.invoice_id where n.tenant_id = $1",
            t=tenant_id,
        )
        assert (note["currency"], note["of_currency"]) == ("EUR", "EUR")
        books = await balances(billing, tenant_id)
        assert books["customer_credit", "EUR"] == -note["total_minor"]
        assert ("customer_credit", "XAF") not in books
        assert books["revenue", "XAF"] + books["tax", "XAF"] == -59_625
        assert await each_currency_balances(billing, tenant_id)
        await lapsed(billing, tenant_id)
        francs = await place(owner, plan_id=1, currency="XAF")
        assert (francs["status"], francs["total_amount"]) == ("pending", "29813")
        await by_momo(owner, francs, "46733123454")
        (asked,) = await billing.rows("select amount_minor from payments where order_id = $1", id=UUID(francs["id"]))
        assert asked["amount_minor"] == 29_813
        euros = await place(owner, plan_id=1, currency="EUR")
        assert (euros["status"], euros["payment_status"]) == ("completed", "paid")
        assert (await balances(billing, tenant_id))["customer_credit", "EUR"] == -note["total_minor"] + 4_545

    async def test_revenue_is_told_per_currency(self, world: Any) -> None:
        billing = world.billing
        finance = billing.client(staff=["finance"])

        async def told() -> dict[str, Any]:
            found: dict[str, Any] = (await finance.get("/api/admin/revenue/")).json()
            return {
                "mrr": {one["currency"]: one["amount"] for one in found["mrr"]},
                "invoiced": {one["currency"]: one["amount"] for one in found["invoiced"]},
                "received": {(one["payment_method"], one["currency"]): one["received"] for one in found["by_method"]},
            }

        def gained(before: dict[Any, str], after: dict[Any, str]) -> dict[Any, int]:
            minor = {key: int(value.replace(".", "")) for key, value in after.items()}
            steps = {key: value - int(before.get(key, "0").replace(".", "")) for key, value in minor.items()}
            return {key: step for key, step in steps.items() if step}

        before = await told()
        await subscribed(billing)
        buyer = billing.client()
        await pay_by_paypal(world, buyer, await place(buyer, currency="USD"))
        francs = await place(buyer, currency="XAF", kind="new")
        await by_momo(buyer, francs)
        await until_paid(buyer, francs)
        after = await told()
        assert gained(before["mrr"], after["mrr"]) == {"EUR": 7_622, "USD": 9_000, "XAF": 50_000}
        assert gained(before["invoiced"], after["invoiced"]) == {"EUR": 7_622, "USD": 9_000, "XAF": 50_000}
        assert gained(before["received"], after["received"]) == {
            ("bank_transfer", "EUR"): 9_089,
            ("paypal", "USD"): 10_733,
            ("mtn_momo", "XAF"): 59_625,
        }


class TestWithMobileMoneyAlone:
    @pytest.fixture
    def billing_settings(self) -> dict[str, Any]:
        return {"payment_methods": ["mtn_momo"]}

    async def test_nothing_is_sold_in_a_currency_that_nothing_takes(self, billing: Billing) -> None:
        answer = await billing.client().post(ORDERS, json=order_body(currency="USD"))
        assert (answer.status_code, answer.json()["code"], answer.json()["sold"]) == (422, "currency_not_sold", "XAF")
        assert (await place(billing.client(), currency="XAF"))["total_amount"] == "50000"
