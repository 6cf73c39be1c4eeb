"""The public catalogue is the guide's, and seeding it again changes nothing."""

from typing import Any

import pytest
from billing.testing import Billing

pytestmark = pytest.mark.integration


async def plans(billing: Billing, **who: Any) -> list[dict[str, Any]]:
    answer = await billing.client(anonymous=True, **who).get("/api/tenants/plans/")
    assert answer.status_code == 200
    return list(answer.json()["results"])


async def test_the_plans_are_the_guides_in_its_order(billing: Billing) -> None:
    found = await plans(billing, language="fr")
    assert [(plan["id"], plan["name"], plan["monthly_price"], plan["yearly_price"]) for plan in found] == [
        (1, "bronze", "25000", "250000"),
        (2, "silver", "50000", "500000"),
        (3, "gold", "100000", "1000000"),
    ]
    assert found[0]["description"] == "Idéal pour les petites entreprises"
    assert [plan["max_vms"] for plan in found] == [10, 50, 200]
    assert [plan["backup_retention_days"] for plan in found] == [30, 60, 90]
    assert [plan["has_api_access"] for plan in found] == [False, False, True]


async def test_prices_are_listed_in_xaf_in_eur_at_the_parity_and_in_usd(billing: Billing) -> None:
    found = await plans(billing)
    prices = {(price["currency"], price["billing_cycle"]): price["amount"] for price in found[0]["prices"]}
    assert prices == {
        ("XAF", "monthly"): "25000",
        ("XAF", "yearly"): "250000",
        ("EUR", "monthly"): "38.11",
        ("EUR", "yearly"): "381.12",
        ("USD", "monthly"): "45.00",
        ("USD", "yearly"): "450.00",
    }


async def test_features_are_told_with_labels(billing: Billing) -> None:
    client = billing.client(anonymous=True, language="fr")
    features = (await client.get("/api/tenants/plans/3/features/")).json()
    assert {"name": "has_api_access", "enabled": True, "label": "Accès à l'API"} in features
    assert len(features) == 6


async def test_one_plan_is_told_and_a_missing_one_is_not_found(billing: Billing) -> None:
    client = billing.client(anonymous=True)
    assert (await client.get("/api/tenants/plans/2/")).json()["display_name"] == "Silver"
    for path in ("/api/tenants/plans/9/", "/api/tenants/plans/9/features/"):
        assert (await client.get(path)).json()["code"] == "plan_not_found"
    assert (await client.get("/api/tenants/plans/x/")).json()["code"] == "invalid_request"


async def test_the_methods_are_the_guides(billing: Billing) -> None:
    answer = await billing.client(anonymous=True, language="fr").get("/api/tenants/payment-methods/")
    assert [(m["id"], m["name"], m["is_automatic"]) for m in answer.json()["results"]] == [
        (1, "paypal", True),
        (2, "mtn_momo", True),
        (3, "bank_transfer", False),
    ]
    assert answer.json()["results"][2]["description"] == "Virement bancaire (vérification manuelle)"


async def test_seeding_again_changes_nothing_and_leaves_a_method_switched_off(billing: Billing) -> None:
    before = await plans(billing)
    async with billing.superuser() as connection:
        await connection.execute("update payment_methods set is_active = false where id = 3")
    try:
        await billing.seed()
        assert await plans(billing) == before
        answer = await billing.client(anonymous=True).get("/api/tenants/payment-methods/")
        assert [method["id"] for method in answer.json()["results"]] == [1, 2]
    finally:
        async with billing.superuser() as connection:
            await connection.execute("update payment_methods set is_active = true where id = 3")
