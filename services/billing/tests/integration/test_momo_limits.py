"""Mobile Money's borders: the most that one payment may be, and whose numbers can pay."""

from typing import Any

import pytest
from billing.testing import ORDERS, Billing, by_momo, initiate, place, until_paid

pytestmark = pytest.mark.integration


@pytest.fixture
def billing_settings() -> dict[str, Any]:
    return {"mtn_momo_limit": 50_000}


async def _try(client: Any, order: dict[str, Any], number: str = "237670000001") -> Any:
    return await client.post(
        f"{ORDERS}{order['id']}/initiate_payment/", json={"payment_method_id": 2, "phone_number": number}
    )


async def test_the_limit_is_told_with_the_methods(billing: Billing) -> None:
    methods = (await billing.client(anonymous=True).get("/api/tenants/payment-methods/")).json()["results"]
    assert [(method["max_amount"], method["max_currency"]) for method in methods] == [
        (None, None),
        ("50000", "XAF"),
        (None, None),
    ]


async def test_more_than_the_limit_is_refused_and_leaves_the_former_attempt_open(billing: Billing) -> None:
    buyer = billing.client(language="fr")
    order = await place(buyer, plan_id=3)
    transfer = await initiate(buyer, order, 3)
    answer = await _try(buyer, order)
    assert (answer.status_code, answer.json()["code"]) == (422, "amount_above_limit")
    assert (answer.json()["limit"], answer.json()["amount"]) == ("50000", "100000")
    assert "au plus 50000 XAF" in answer.json()["detail"]
    former = (await buyer.get(f"/api/tenants/payments/{transfer['payment_id']}/")).json()
    assert former["status"] == "submitted"


async def test_the_limit_itself_and_a_rest_below_it_are_paid(billing: Billing) -> None:
    buyer = billing.client()
    order = await place(buyer)
    await by_momo(buyer, order)
    await until_paid(buyer, order)
    large = await place(billing.client(), plan_id=3)
    assert (await _try(billing.client(), large)).status_code == 404
    second = billing.client()
    large = await place(second, plan_id=3)
    transfer = await initiate(second, large, 3)
    finance = billing.client(staff=["finance"])
    path = f"/api/tenants/payments/{transfer['payment_id']}/verify_bank_transfer/"
    assert (await finance.post(path, json={"approve": True, "amount": "50000"})).status_code == 200
    await by_momo(second, large)
    await until_paid(second, large)


@pytest.mark.parametrize("number", ["+33612345678", "242066000001"])
async def test_a_foreign_number_is_refused_with_the_country_that_pays(billing: Billing, number: str) -> None:
    buyer = billing.client(language="fr")
    answer = await _try(buyer, await place(buyer, plan_id=1), number)
    assert (answer.status_code, answer.json()["code"]) == (422, "phone_number_foreign")
    assert "+237" in answer.json()["detail"]


@pytest.mark.parametrize("wrong", [True, "2", 2.5, 1.0, None])
async def test_numbers_are_numbers(billing: Billing, wrong: Any) -> None:
    buyer = billing.client(language="fr")
    order = await place(buyer, plan_id=1)
    tries = [
        await buyer.post(
            ORDERS,
            json={"plan_id": wrong, "billing_cycle": "monthly", "customer_name": "X", "customer_email": "a@xyz.com"},
        ),
        await buyer.post(f"{ORDERS}{order['id']}/initiate_payment/", json={"payment_method_id": wrong}),
        await buyer.post(
            "/api/tenants/coupons/validate/", json={"code": "X", "plan_id": wrong, "billing_cycle": "monthly"}
        ),
    ]
    assert [answer.status_code for answer in tries] == [422] * 3
    for answer in tries:
        (error,) = answer.json()["errors"]
        assert error["message"] == "Un nombre entier est attendu."
