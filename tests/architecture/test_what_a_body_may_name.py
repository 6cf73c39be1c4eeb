"""No customer names what only a payment, a command or the platform decides: his price, his plan's state, an owner."""

import importlib
from collections.abc import Iterator
from typing import Any

import pytest
from devstack.members import WITH_DATABASE

pytestmark = pytest.mark.contract
WRITES = ("post", "put", "patch", "delete")
DECIDED_ELSEWHERE = {
    "status", "payment_status", "owner", "owner_id", "tenant_id", "user_id", "is_trial", "trial_end", "trial_days",
    "subtotal", "discount_amount", "tax_amount", "total_amount", "currency", "price", "quotas", "features",
    "subscription_start", "subscription_end", "ends_at", "is_staff", "staff_roles",
}  # fmt: skip
AMOUNTS = {"amount", "amount_minor", "plan"}
HANDED_ON = {("post /api/tenants/organizations/{organization_id}/transfer_ownership/ application/json", "user_id")}
"""An owner names the member who is to have his organization: his own, and he confirms who he is."""
CHOSEN = {
    (f"post /api/tenants/{what}/ application/json", "currency")
    for what in ("orders", "orders/preview", "coupons/validate")
}
"""A customer chooses among the currencies that a plan has a price in; what it costs in each is the catalogue's."""


def bodies() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield every operation that writes and is not staff's, the schema of its body, and its document."""
    for member in WITH_DATABASE:
        document = importlib.import_module(f"{member.module}.contracts").documents()["openapi.json"]
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                if method in WRITES and operation["x-access"]["level"] != "staff":
                    content = operation.get("requestBody", {}).get("content", {})
                    for kind, body in content.items():
                        yield f"{method} {path} {kind}", body["schema"], document


def fields(schema: Any, document: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Yield each field at any depth, and whether what holds it refuses others."""
    if isinstance(schema, list):
        for part in schema:
            yield from fields(part, document)
    if not isinstance(schema, dict):
        return
    if "$ref" in schema:
        yield from fields(document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], document)
    for name, inner in schema.get("properties", {}).items():
        yield name, schema.get("additionalProperties") is False
        yield from fields(inner, document)
    for part in ("anyOf", "oneOf", "allOf", "items"):
        yield from fields(schema.get(part), document)


@pytest.mark.invariant("S16")
def test_no_customer_names_a_price_a_state_or_an_owner() -> None:
    named = {
        (operation, name)
        for operation, schema, document in bodies()
        for name, _ in fields(schema, document)
        if name in DECIDED_ELSEWHERE | AMOUNTS
    }
    assert named == HANDED_ON | CHOSEN


@pytest.mark.invariant("S16")
def test_a_field_that_is_not_declared_is_refused_and_not_passed_over() -> None:
    open_ones = {
        (operation, name)
        for operation, schema, document in bodies()
        if "multipart" not in operation
        for name, closed in fields(schema, document)
        if not closed
    }
    assert open_ones == set()


def test_orders_payments_and_invoices_have_commands_and_are_never_overwritten_or_deleted() -> None:
    owned = ("/api/tenants/orders/", "/api/tenants/payments/", "/api/tenants/invoices/")
    written = {
        (method, path)
        for member in WITH_DATABASE
        for path, operations in importlib.import_module(f"{member.module}.contracts")
        .documents()["openapi.json"]["paths"]
        .items()
        for method in operations
        if path.startswith(owned) and method in {"put", "patch", "delete"}
    }
    assert written == set()


def test_the_look_finds_bodies_and_their_fields() -> None:
    found = {operation: {name for name, _ in fields(schema, document)} for operation, schema, document in bodies()}
    assert {"plan_id", "billing_cycle"} <= found["post /api/tenants/orders/ application/json"]
    assert len(found) > 10
