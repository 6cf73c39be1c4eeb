"""The committed contracts are what the code makes. Grants and the reading of others' facts: `tests/architecture`."""

from pathlib import Path

import pytest
from common import contracts
from openapi_spec_validator import validate
from tenancy.contracts import documents
from tenancy.events import FACTS

pytestmark = pytest.mark.contract
FOLDER = Path(__file__).parents[2] / "contracts"


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
