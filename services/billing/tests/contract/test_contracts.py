"""The committed contracts are what code and migrations make, and we can read what others publish."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from billing.contracts import documents
from billing.events import FACTS
from billing.messaging.handlers import OrganizationProvisioned, subscriptions
from billing.persistence.tables import metadata
from billing.testing import Billing
from common import contracts
from common.persistence.access import read_access
from common.persistence.rls import IDENTITY_COLUMNS
from openapi_spec_validator import validate
from sqlalchemy.ext.asyncio import create_async_engine

pytestmark = pytest.mark.contract
FOLDER = Path(__file__).parents[2] / "contracts"
SERVICES = FOLDER.parents[1]


def test_the_committed_documents_are_what_the_code_makes() -> None:
    assert contracts.differing(FOLDER, documents()) == []


def test_the_api_is_described_in_valid_openapi() -> None:
    document = documents()["openapi.json"]
    validate(document)
    assert document["openapi"].startswith("3.1")


def test_every_endpoint_declares_who_may_use_it() -> None:
    for path, operations in documents()["openapi.json"]["paths"].items():
        for method, operation in operations.items():
            assert operation["x-access"]["level"] in {"public", "person", "staff"}, (method, path)


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
@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.event_type())
def test_every_fact_has_a_version_a_schema_and_an_example_that_it_reads_again(fact: Any) -> None:
    example = fact.example()
    assert fact.model_validate(example.model_dump(mode="json")) == example
    assert fact.schema_uri() in documents()


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


@pytest.mark.integration
@pytest.mark.invariant("S2")
@pytest.mark.invariant("S7")
async def test_the_database_grants_exactly_what_access_json_says(billing: Billing) -> None:
    engine = create_async_engine(billing.database.admin_url.replace("postgresql://", "postgresql+asyncpg://"))
    try:
        async with engine.connect() as connection:
            found = await read_access(connection, "billing")
    finally:
        await engine.dispose()
    committed = FOLDER / "access.json"
    if os.environ.get("EBM_WRITE_CONTRACTS"):
        committed.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    assert json.loads(committed.read_text(encoding="utf-8")) == json.loads(json.dumps(found))
    for name, table in found.items():
        for role, verbs in table["grants"].items():
            updatable = verbs.get("update", "")
            assert updatable != "*", (name, role)
            assert not IDENTITY_COLUMNS & set(updatable.split(",")), (name, role)


@pytest.mark.integration
async def test_the_migrations_make_the_tables_that_the_code_describes(billing: Billing) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    engine = create_async_engine(billing.database.admin_url.replace("postgresql://", "postgresql+asyncpg://"))
    try:
        async with engine.connect() as connection:
            differences = await connection.run_sync(
                lambda plain: compare_metadata(MigrationContext.configure(plain), metadata)
            )
    finally:
        await engine.dispose()
    assert [found for found in differences if "alembic_version" not in str(found)] == []
