"""What the guide promises of billing's API, and what billing reads of tenancy's facts."""

import json
from pathlib import Path
from typing import Any

import pytest
from billing.contracts import documents
from billing.messaging.handlers import OrganizationProvisioned, subscriptions

pytestmark = pytest.mark.contract
SERVICES = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/api/tenants/plans/"),
        ("get", "/api/tenants/plans/{plan_id}/"),
        ("get", "/api/tenants/plans/{plan_id}/features/"),
        ("get", "/api/tenants/payment-methods/"),
        ("get", "/api/tenants/orders/"),
        ("post", "/api/tenants/orders/"),
        ("post", "/api/tenants/orders/{order_id}/initiate_payment/"),
        ("post", "/api/tenants/orders/{order_id}/verify_payment/"),
        ("get", "/api/tenants/payments/"),
        ("get", "/api/tenants/payments/{payment_id}/"),
        ("post", "/api/tenants/payments/{payment_id}/verify_bank_transfer/"),
        ("get", "/api/tenants/invoices/"),
        ("get", "/api/tenants/invoices/{invoice_id}/download/"),
        ("post", "/api/tenants/coupons/validate/"),
        ("post", "/webhooks/paypal/"),
        ("put", "/webhooks/mtn-momo/{token}"),
        ("post", "/webhooks/mtn-momo/{token}"),
    ],
)
def test_the_guides_paths_are_served_to_the_letter(method: str, path: str) -> None:
    assert method in documents()["openapi.json"]["paths"][path]


@pytest.mark.invariant("S49")
@pytest.mark.parametrize("fact", ["org.provisioned", "org.plan_changed"])
def test_tenancys_examples_can_be_read_with_fields_of_later_versions(fact: str) -> None:
    published = SERVICES / "tenancy" / "contracts" / "events" / f"{fact}.v1.json"
    found = subscriptions.find("tenancy", f"{fact}.v1")
    assert found is not None
    assert found.reader is not None
    for example in json.loads(published.read_text(encoding="utf-8"))["examples"]:
        event: Any = found.reader.model_validate(example | {"added_later": {"by": "the producer"}})
        told = event.told()
        assert told["status"] == example["status"]
        assert str(event.owner_id()) == example["owner"]


def test_a_provisioned_organization_is_read_whole() -> None:
    published = SERVICES / "tenancy" / "contracts" / "events" / "org.provisioned.v1.json"
    example = json.loads(published.read_text(encoding="utf-8"))["examples"][0]
    assert set(OrganizationProvisioned.model_validate(example).told()) == {
        "id", "name", "slug", "status", "plan", "owner", "email", "billing_cycle", "subscription_start",
        "subscription_end",
    }  # fmt: skip
