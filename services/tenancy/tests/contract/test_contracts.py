"""The committed contracts are what code and migrations make, and we can read what others publish."""

import json
import os
from pathlib import Path

import pytest
from common import contracts
from common.persistence.access import read_access
from common.persistence.rls import IDENTITY_COLUMNS
from openapi_spec_validator import validate
from sqlalchemy.ext.asyncio import create_async_engine
from tenancy.adapters.letters import TemplateLetters
from tenancy.contracts import documents
from tenancy.events import FACTS
from tenancy.messaging.handlers import subscriptions
from tenancy.testing import Tenancy

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
            assert operation["x-access"]["level"] in {"public", "person", "organization", "staff"}, (method, path)


def test_the_guides_paths_are_served_to_the_letter() -> None:
    paths = documents()["openapi.json"]["paths"]
    base = "/api/tenants/organizations/"
    for path in ("", "{organization_id}/", "{organization_id}/members/", "{organization_id}/usage/"):
        assert "get" in paths[base + path]
    assert "post" in paths[base + "{organization_id}/invite_member/"]


@pytest.mark.invariant("S49")
def test_every_fact_has_a_version_a_schema_and_an_example_that_it_reads_again() -> None:
    for fact in FACTS:
        example = fact.example()
        assert fact.model_validate(example.model_dump(mode="json")) == example
        assert fact.schema_uri() in documents()


@pytest.mark.parametrize("subscription", subscriptions(TemplateLetters("")).all(), ids=lambda s: f"{s.source}-{s.type}")
def test_the_examples_of_others_can_be_read(subscription) -> None:
    published = SERVICES / subscription.source / "contracts" / "events" / f"{subscription.type}.json"
    examples = json.loads(published.read_text(encoding="utf-8"))["examples"]
    assert examples
    if subscription.reader is not None:
        for example in examples:
            # A later producer adds fields; the reader has to bear them.
            assert subscription.reader.model_validate(example | {"added_later": {"by": "the producer"}})


@pytest.mark.integration
@pytest.mark.invariant("S2")
@pytest.mark.invariant("S7")
async def test_the_database_grants_exactly_what_access_json_says(tenancy: Tenancy) -> None:
    found = await _access(tenancy)
    committed = FOLDER / "access.json"
    if os.environ.get("EBM_WRITE_CONTRACTS"):
        committed.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    assert json.loads(committed.read_text(encoding="utf-8")) == json.loads(json.dumps(found))
    for name, table in found.items():
        for role, verbs in table["grants"].items():
            updatable = verbs.get("update", "")
            assert updatable != "*", (name, role)
            assert not IDENTITY_COLUMNS & set(updatable.split(",")), (name, role)


async def _access(tenancy: Tenancy) -> dict[str, object]:
    engine = create_async_engine(tenancy.database.admin_url.replace("postgresql://", "postgresql+asyncpg://"))
    try:
        async with engine.connect() as connection:
            return await read_access(connection, "tenancy")
    finally:
        await engine.dispose()
