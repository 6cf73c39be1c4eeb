"""The guide's purchase by Mobile Money, from order to organization."""

from typing import Any
from uuid import UUID

import pytest
from billing.testing import ORDERS, Billing, place
from common.testing import eventually

pytestmark = pytest.mark.integration


async def initiated(client: Any, order: dict[str, Any], **changes: Any) -> dict[str, Any]:
    body = {"order_id": order["id"], "payment_method_id": 2, "phone_number": "237670000001"} | changes
    answer = await client.post(f"{ORDERS}{order['id']}/initiate_payment/", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def verified(client: Any, order: dict[str, Any]) -> dict[str, Any]:
    answer = await client.post(f"{ORDERS}{order['id']}/verify_payment/")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_a_purchase_ends_with_success_and_the_organization(billing: Billing) -> None:
    buyer = billing.client()
    order = await place(buyer)
    assert order["total_amount"] == "50000"
    assert order["organization"] is None
    started = await initiated(buyer, order)
    assert started["status"] in {"pending", "completed"}

    async def paid() -> bool:
        return bool((await verified(buyer, order))["payment_status"] == "paid")

    await eventually(paid)
    tenant_id = await billing.provision(order)
    answer = await verified(buyer, order)
    assert answer["success"] is True
    assert answer["status"] == "completed"
    assert answer["organization"]["id"] == str(tenant_id)
    assert answer["organization"]["name"] == "Entreprise XYZ"


async def test_the_confirmation_carries_the_plan_as_bought(billing: Billing) -> None:
    buyer = billing.client()
    order = await place(buyer)
    await initiated(buyer, order)

    async def paid() -> bool:
        return bool((await verified(buyer, order))["payment_status"] == "paid")

    await eventually(paid)
    events = await billing.rows(
        "select tenant_id, envelope->'data' as data from outbox where envelope->'data'->>'order_id' = $1",
        id=order["id"],
    )
    assert len(events) == 1
    rows = await billing.rows("select tenant_id from orders where id = $1", id=UUID(order["id"]))
    assert events[0]["tenant_id"] == rows[0]["tenant_id"]
    assert '"max_esxi_servers": 5' in events[0]["data"]
