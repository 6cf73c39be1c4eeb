"""The guide's own client: its JavaScript steps as HTTP calls, with exactly its paths and fields."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from devstack.customer import BANK_TRANSFER, MTN_MOMO, PAYPAL, Customer, claims_of
from devstack.demo.intruder import reads_nothing

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


async def test_plans_and_payment_methods_are_the_guides(new_customer, endpoints) -> None:
    async with Customer(endpoints["gateway"], "nobody@xyz.example", "") as anonymous:
        plans = (await anonymous.get("/api/tenants/plans/"))["results"]
        assert [(p["id"], p["name"], p["monthly_price"], p["yearly_price"], p["currency"]) for p in plans] == [
            (1, "bronze", "25000", "250000", "XAF"),
            (2, "silver", "50000", "500000", "XAF"),
            (3, "gold", "100000", "1000000", "XAF"),
        ]
        assert plans[1]["max_vms"] == 50
        assert plans[1]["backup_retention_days"] == 60
        assert await anonymous.get("/api/tenants/plans/2/") == plans[1]
        features = await anonymous.get("/api/tenants/plans/3/features/")
        assert {f["name"] for f in features} >= {"has_replication", "has_api_access"}
        methods = (await anonymous.get("/api/tenants/payment-methods/"))["results"]
        assert [(m["id"], m["name"], m["is_automatic"]) for m in methods] == [
            (1, "paypal", True),
            (2, "mtn_momo", True),
            (3, "bank_transfer", False),
        ]


async def test_a_purchase_by_mobile_money_becomes_an_organization(new_customer) -> None:
    customer: Customer = await new_customer()
    order = await customer.order(2, "Entreprise XYZ")
    assert order["order_number"]
    assert (order["total_amount"], order["currency"], order["organization"]) == ("50000", "XAF", None)
    started = await customer.pay(order, MTN_MOMO)
    assert started["payment_id"]
    assert started["message"]
    organization = await customer.paid(order)
    await the_organization_is_the_customers(customer, organization, "Entreprise XYZ", "silver")


async def test_a_purchase_by_paypal_becomes_an_organization(new_customer) -> None:
    customer: Customer = await new_customer()
    order = await customer.order(1, "Entreprise ABC", cycle="yearly")
    started = await customer.pay(order, PAYPAL)
    location = await customer.approve_on_paypal(started["redirect_url"])
    assert location.startswith("https://myapp.com/payment/success?")
    organization = await customer.paid(order)
    assert organization["billing_cycle"] == "yearly"
    await the_organization_is_the_customers(customer, organization, "Entreprise ABC", "bronze")


async def test_a_bank_transfer_is_approved_by_staff_and_becomes_an_organization(new_customer, signed_in_staff) -> None:
    customer: Customer = await new_customer()
    order = await customer.order(3, "Société Générale de Test")
    started = await customer.pay(order, BANK_TRANSFER)
    details = started["bank_details"]
    assert set(details) >= {"bank_name", "account_name", "account_number", "swift_code", "iban", "branch", "reference"}
    assert (details["amount"], details["currency"]) == ("100000", "XAF")
    waiting = await customer.verify(order)
    assert (waiting["success"], waiting["organization"]) == (False, None)
    receipt = {"file": ("recu.pdf", b"%PDF-1.4\n%%EOF\n", "application/pdf")}
    sent = await customer.http.post(f"/api/tenants/payments/{started['payment_id']}/receipt/", files=receipt)
    assert sent.status_code in {200, 201}, sent.text
    approval = f"/api/tenants/payments/{started['payment_id']}/verify_bank_transfer/"
    await customer.call("POST", approval, {"approve": True}, expect=403)
    staff = await signed_in_staff(0)
    await staff.call("POST", approval, {"approve": True, "note": "seen on the statement"})
    organization = await customer.paid(order)
    await the_organization_is_the_customers(customer, organization, "Société Générale de Test", "gold")


async def the_organization_is_the_customers(customer: Customer, organization: Any, name: str, plan: str) -> None:
    """The guide's two unit tests in our terms: named as the customer, plan, active, owner; metrics with one user."""
    assert (organization["name"], organization["status"]) == (name, "active")
    assert plan in str(organization["plan"])
    with_old_token = await customer.get("/api/tenants/organizations/")
    assert [found["id"] for found in with_old_token["results"]] == [organization["id"]]
    tokens = await customer.log_in()
    members = (await customer.get(f"/api/tenants/organizations/{organization['id']}/members/"))["results"]
    assert [member["role"] for member in members] == ["owner"]
    usage = await customer.get(f"/api/tenants/organizations/{organization['id']}/usage/")
    assert usage["users_count"] == 1
    assert usage["esxi_servers_count"] == 0
    assert claims_of(tokens["access_token"])["sub"] in str(members[0])
    invoices = (await customer.get("/api/tenants/invoices/"))["results"]
    assert len(invoices) == 1
    pdf = await customer.http.get(f"/api/tenants/invoices/{invoices[0]['id']}/download/")
    assert pdf.headers["content-type"] == "application/pdf"
    assert pdf.content.startswith(b"%PDF-")
    payments = (await customer.get("/api/tenants/payments/"))["results"]
    assert [payment["status"] for payment in payments] == ["completed"]


@pytest.mark.invariant("S25")
async def test_verifying_a_paid_order_again_changes_nothing(new_customer) -> None:
    customer: Customer = await new_customer()
    order = await customer.order(2, "Entreprise Répétée")
    await customer.pay(order, MTN_MOMO)
    organization = await customer.paid(order)
    again = await asyncio.gather(*(customer.verify(order) for _ in range(50)))
    assert {found["organization"]["subscription_end"] for found in again} == {organization["subscription_end"]}
    await customer.log_in()
    assert len((await customer.get("/api/tenants/organizations/"))["results"]) == 1
    assert len((await customer.get("/api/tenants/invoices/"))["results"]) == 1


async def test_the_token_from_before_the_purchase_goes_on_working_after_it(new_customer) -> None:
    customer: Customer = await new_customer()
    await customer.call("GET", "/api/esxi-servers/", expect=403)
    order = await customer.order(2, "Entreprise Pressée")
    await customer.pay(order, MTN_MOMO)
    await customer.paid(order)
    servers = await customer.get("/api/esxi-servers/")
    assert servers["results"] == []


@pytest.mark.invariant("S9")
async def test_another_organizations_things_are_as_if_they_were_not(new_customer) -> None:
    first: Customer = await new_customer()
    second: Customer = await new_customer()
    ids: dict[str, str] = {}
    for customer in (first, second):
        order = await customer.order(1, "Entreprise Voisine")
        await customer.pay(order, MTN_MOMO)
        organization = await customer.paid(order)
        await customer.log_in()
        if customer is first:
            invoice = (await first.get("/api/tenants/invoices/"))["results"][0]
            ids = {"order": order["id"], "organization": organization["id"], "invoice": invoice["id"]}
    assert await reads_nothing(second, ids) == dict.fromkeys(ids, True)


@pytest.mark.invariant("S62")
async def test_a_client_cannot_name_its_tenant_itself(new_customer) -> None:
    first: Customer = await new_customer()
    order = await first.order(1, "Entreprise Cible")
    await first.pay(order, MTN_MOMO)
    organization = await first.paid(order)
    stranger: Customer = await new_customer()
    for spelling in ("X-Tenant-Id", "x_tenant_id", "X.Tenant.Id", "X-TENANT-ID"):
        headers = {spelling: organization["id"]}
        answer = await stranger.http.get("/api/esxi-servers/", headers=headers)
        assert answer.status_code == 403, spelling
        assert answer.json()["code"] == "no_active_organization"


@pytest.mark.invariant("S65")
async def test_an_unknown_route_is_404_and_a_known_one_without_token_401(endpoints) -> None:
    async with Customer(endpoints["gateway"], "nobody@xyz.example", "") as anonymous:
        for path, status in {
            "/api/unknown/": 404,
            "/internal/sessions/x": 404,
            f"/internal/sessions/{uuid4()}": 404,
            "/metrics": 404,
            "/api/tenants/orders/": 401,
            "/api/esxi-servers/": 401,
        }.items():
            answer = await anonymous.http.get(path)
            assert answer.status_code == status, path
            assert answer.headers["content-type"] == "application/problem+json"


async def test_errors_speak_the_callers_language(new_customer) -> None:
    texts = {}
    for language in ("fr", "en"):
        customer: Customer = await new_customer(language=language)
        answer = await customer.http.get("/api/esxi-servers/")
        assert (answer.status_code, answer.json()["code"]) == (403, "no_active_organization")
        texts[language] = answer.json()["detail"]
    assert "Aucune organisation active" in texts["fr"]
    assert "No active organization" in texts["en"]
