"""What an owner enters in his organization's settings stands on its next invoice, and on nobody else's."""

import asyncio

import pytest
from common.ids import uuid7
from devstack.customer import JSON, Customer, until

from .test_attacks_on_money import owner_of

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.parametrize("endpoints", ["one_process_small_vault"], indirect=True),
]

INVOICES = "/api/tenants/invoices/"
FREE = {"percent": "100", "max_redemptions": 60, "reason": "renewals of a test"}
ENTERED = {"niu": "M021912004567B", "rccm": "CM-YAO-01-2019-B12-00456", "address": "Rue 1.839, Bastos, Yaoundé"}


async def newest(owner: Customer) -> JSON:
    invoice: JSON = (await owner.get(INVOICES))["results"][0]
    return invoice


async def printed(owner: Customer, invoice: JSON) -> bytes:
    answer = await owner.http.get(f"{INVOICES}{invoice['id']}/download/")
    assert answer.status_code == 200, answer.text
    return answer.content


@pytest.mark.invariant("S99")
async def test_settings_reach_the_next_invoice_and_change_no_earlier_one(new_customer, signed_in_staff) -> None:
    owner, stranger = await new_customer(), await new_customer()
    await asyncio.gather(owner_of(owner, "Nommée"), owner_of(stranger, "Inconnue"))
    earlier, theirs = await newest(owner), await newest(stranger)
    paper = await printed(owner, earlier)
    (organization,) = (await owner.get("/api/tenants/organizations/"))["results"]
    settings = f"/api/tenants/organizations/{organization['id']}/settings/"
    assert (await owner.call("PATCH", settings, ENTERED)).items() >= ENTERED.items()
    staff: Customer = await signed_in_staff(0)
    code = f"PAPIER-{uuid7().hex[-8:].upper()}"
    await staff.post("/api/admin/coupons/", FREE | {"code": code}, expect=201)

    async def renewed() -> JSON:
        """A renewal that says nothing of address and numbers, until billing has heard of them."""
        await owner.order(1, "Nommée", coupon_code=code)
        return await newest(owner)

    invoice = await until(renewed, lambda found: found["customer_niu"] is not None, seconds=30, pause=1)
    assert {name: invoice[f"customer_{name}"] for name in ENTERED} == ENTERED
    assert (await owner.get(f"{INVOICES}{earlier['id']}/"))["customer_niu"] is None
    assert await printed(owner, earlier) == paper
    await stranger.order(1, "Inconnue", coupon_code=code)
    newer = await newest(stranger)
    assert newer["id"] != theirs["id"]
    assert newer["customer_niu"] is None
