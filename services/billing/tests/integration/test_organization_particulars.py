"""What an organization's settings say of it stands on its invoices where its order says nothing, and on no other's."""

import io
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from billing.persistence.erasure import PLAN
from billing.testing import Billing, pay_by_transfer, place, subscribed
from common.persistence.erasure import Eraser
from common.testing import ServiceClient
from pypdf import PdfReader

pytestmark = [pytest.mark.integration, pytest.mark.invariant("S99")]
INVOICES = "/api/tenants/invoices/"
STATED = {
    "name": "Ngoma SARL",
    "email": "comptes@ngoma.cm",
    "phone": "+237 600000000",
    "address": "Rue 1.839, Bastos, Yaoundé",
    "rccm": "CM-YAO-01-2019-B12-00456",
    "niu": "M021912004567B",
}
SHOWN = {name: value for name, value in STATED.items() if name != "phone"}
"""What an invoice answers of them."""


async def state(billing: Billing, tenant_id: UUID, *, version: int = 2, **changes: str | None) -> None:
    await billing.told(tenant_id, "org.particulars_changed", STATED | changes, version=version)


async def known(billing: Billing, tenant_id: UUID) -> list[dict[str, Any]]:
    columns = "name, email, phone, address, rccm, niu"
    return await billing.rows(f"select {columns} from organization_particulars where tenant_id = $1", t=tenant_id)


def named(paper: dict[str, Any]) -> dict[str, Any]:
    return {name: paper[f"customer_{name}"] for name in SHOWN}


async def newest(owner: ServiceClient) -> dict[str, Any]:
    invoice: dict[str, Any] = (await owner.get(INVOICES)).json()["results"][0]
    return invoice


async def pdf(owner: ServiceClient, invoice: dict[str, Any]) -> bytes:
    return bytes((await owner.get(f"{INVOICES}{invoice['id']}/download/")).content)


def text_of(printed: bytes) -> str:
    return " ".join(PdfReader(io.BytesIO(printed)).pages[0].extract_text().split())


async def renewed_ahead(billing: Billing, tenant_id: UUID) -> dict[str, Any]:
    """Let the calendar order the renewal of the running period; return its row."""
    rows = await billing.rows("select ends_at from subscriptions where tenant_id = $1", t=tenant_id)
    billing.clock.advance(rows[0]["ends_at"] - timedelta(days=6) - billing.clock.now())
    await billing.calendar.run_due()
    (order,) = await billing.rows(
        "select * from orders where tenant_id = $1 and kind = 'renewal' and status = 'pending'", t=tenant_id
    )
    return order | {"id": str(order["id"])}


@pytest.mark.invariant("S34")
async def test_settings_stand_on_the_next_renewals_invoice_and_change_no_earlier_one(billing: Billing) -> None:
    owner, tenant_id = await subscribed(billing)
    earlier = await newest(owner)
    printed = await pdf(owner, earlier)
    await state(billing, tenant_id)
    await pay_by_transfer(billing, owner, await place(owner, kind="renewal", customer_phone=None))
    invoice = await newest(owner)
    assert named(invoice) == SHOWN | {"name": "Entreprise XYZ", "email": "contact@xyz.com"}
    shown = text_of(await pdf(owner, invoice))
    assert all(STATED[name] in shown for name in ("niu", "rccm", "address"))
    assert await other_than(owner, invoice) == earlier
    assert await pdf(owner, earlier) == printed
    assert STATED["niu"] not in text_of(printed)


async def other_than(owner: ServiceClient, invoice: dict[str, Any]) -> dict[str, Any]:
    listed: list[dict[str, Any]] = (await owner.get(INVOICES)).json()["results"]
    return next(one for one in listed if one["id"] != invoice["id"])


async def test_what_the_customer_typed_in_the_order_wins(billing: Billing) -> None:
    owner, tenant_id = await subscribed(billing)
    await state(billing, tenant_id)
    typed = {"customer_niu": "P000000000000Z", "customer_address": "BP 1, Douala"}
    order = await place(owner, kind="renewal", **typed)
    await pay_by_transfer(billing, owner, order)
    wanted = SHOWN | {"name": "Entreprise XYZ", "email": "contact@xyz.com"}
    assert named(await newest(owner)) == wanted | {"niu": "P000000000000Z", "address": "BP 1, Douala"}


async def test_a_renewal_made_ahead_names_what_was_said_last(billing: Billing) -> None:
    typed = {"customer_address": "BP 1, Douala", "customer_rccm": "CM-DLA-01-2001-B12-00001"}
    owner, tenant_id = await subscribed(billing, **typed)
    await state(billing, tenant_id, rccm=None)
    order = await renewed_ahead(billing, tenant_id)
    assert named(order) == SHOWN | {"rccm": typed["customer_rccm"]}
    await state(billing, tenant_id, version=3, address="Avenue Kennedy, Yaoundé", rccm=None)
    await pay_by_transfer(billing, owner, order)
    invoice = await newest(owner)
    assert named(invoice) == SHOWN | {"rccm": typed["customer_rccm"], "address": "Avenue Kennedy, Yaoundé"}


async def test_a_renewal_made_ahead_keeps_what_a_later_order_said(billing: Billing) -> None:
    owner, tenant_id = await subscribed(billing)
    await state(billing, tenant_id)
    mine = await place(owner, kind="renewal", customer_name="XYZ Holding", customer_niu="P000000000000Z")
    await pay_by_transfer(billing, owner, mine)
    order = await renewed_ahead(billing, tenant_id)
    await pay_by_transfer(billing, owner, order)
    invoice = await newest(owner)
    assert (invoice["customer_name"], invoice["customer_niu"]) == ("XYZ Holding", "P000000000000Z")
    assert invoice["customer_address"] == STATED["address"]


async def test_a_renewal_made_ahead_is_the_customers_own_that_says_less_and_not_one_that_says_otherwise(
    billing: Billing,
) -> None:
    owner, tenant_id = await subscribed(billing)
    await state(billing, tenant_id, name="Entreprise XYZ", email="contact@xyz.com", phone=None)
    ahead = await renewed_ahead(billing, tenant_id)
    assert ahead["customer_niu"] == STATED["niu"]
    body = {"plan_id": 2, "billing_cycle": "monthly", "kind": "renewal"}
    assert (await owner.post("/api/tenants/orders/preview/", json=body)).status_code == 200
    assert (await place(owner, kind="renewal"))["id"] == ahead["id"]
    mine = await place(owner, kind="renewal", customer_niu="P000000000000Z")
    assert mine["id"] != ahead["id"]
    rows = await billing.rows("select status from orders where id = $1", id=UUID(ahead["id"]))
    assert rows[0]["status"] == "cancelled"


async def test_a_plan_that_finance_orders_names_what_was_said_last(billing: Billing) -> None:
    _owner, tenant_id = await subscribed(billing)
    await state(billing, tenant_id)
    staff = billing.client(staff=["finance"])
    wanted = {"plan_id": 3, "billing_cycle": "monthly", "reason": "asked by telephone"}
    answer = await staff.post(f"/api/admin/organizations/{tenant_id}/plan/", json=wanted)
    assert answer.status_code == 201, answer.text
    assert named(answer.json()) == SHOWN


async def test_nobody_elses_settings_stand_on_an_invoice(billing: Billing) -> None:
    owner, tenant_id = await subscribed(billing)
    _stranger, other = await subscribed(billing)
    await state(billing, other)
    await pay_by_transfer(billing, owner, await place(owner, kind="renewal"))
    assert (await newest(owner))["customer_niu"] is None
    async with billing.store.for_tenant(tenant_id) as uow:
        assert await uow.particulars.known(other) is None


async def test_an_older_state_and_the_same_once_more_change_nothing(billing: Billing) -> None:
    _owner, tenant_id = await subscribed(billing)
    await state(billing, tenant_id, version=5)
    await state(billing, tenant_id, version=5)
    await state(billing, tenant_id, version=4, niu="P000000000000Z")
    assert await known(billing, tenant_id) == [STATED]
    await state(billing, tenant_id, version=6, niu=None, address=" \n ", phone="")
    assert await known(billing, tenant_id) == [STATED | {"niu": None, "address": None, "phone": None}]


async def test_what_would_break_a_line_of_an_invoice_is_a_blank(billing: Billing) -> None:
    _owner, tenant_id = await subscribed(billing)
    await state(billing, tenant_id, address="BP 1\nDouala\tCameroun")
    assert (await known(billing, tenant_id))[0]["address"] == "BP 1 Douala Cameroun"


async def test_a_preview_and_the_order_charge_the_same_with_settings_as_without(billing: Billing) -> None:
    owner, tenant_id = await subscribed(billing)
    body = {"plan_id": 2, "billing_cycle": "monthly", "kind": "renewal"}
    before = (await owner.post("/api/tenants/orders/preview/", json=body)).json()
    await state(billing, tenant_id)
    assert (await owner.post("/api/tenants/orders/preview/", json=body)).json() == before
    order = await place(owner, kind="renewal")
    assert {name: order[name] for name in ("total_amount", "tax_amount", "currency")} == {
        name: before[name] for name in ("total_amount", "tax_amount", "currency")
    }
    again = (await owner.post("/api/tenants/orders/preview/", json=body)).json()
    assert again["total_amount"] == order["total_amount"]


@pytest.mark.invariant("S84")
async def test_they_go_with_the_organization_and_a_late_fact_does_not_bring_them_back(billing: Billing) -> None:
    _owner, tenant_id = await subscribed(billing)
    _stranger, other = await subscribed(billing)
    for tenant in (tenant_id, other):
        await state(billing, tenant)
    await billing.told(tenant_id, "org.deleted", {"id": str(tenant_id), "reason": "asked_for"}, version=3)
    await Eraser(billing.store, PLAN).erase(tenant_id)
    assert await known(billing, tenant_id) == []
    await state(billing, tenant_id, version=9)
    assert await known(billing, tenant_id) == []
    assert await known(billing, other) == [STATED]
