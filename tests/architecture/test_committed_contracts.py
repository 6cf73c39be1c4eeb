"""What every service's `contracts/` must be: made from the code, valid, and saying who may use what."""

import importlib
from pathlib import Path
from typing import Any

import pytest
from common import contracts
from common.messaging import Fact
from devstack.members import MEMBERS, WITH_DATABASE, Member
from openapi_spec_validator import validate

pytestmark = pytest.mark.contract
SERVICES = Path(__file__).parents[2] / "services"
LEVELS = {"public", "person", "organization", "staff"}
FACTS = [
    pytest.param(member, fact, id=f"{member.name} {fact.event_type()}")
    for member in WITH_DATABASE
    for fact in importlib.import_module(f"{member.module}.events").FACTS
]


def documents(member: Member) -> dict[str, Any]:
    return importlib.import_module(f"{member.module}.contracts").documents()


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_the_committed_documents_are_what_the_code_makes(member: Member) -> None:
    assert contracts.differing(SERVICES / member.name / "contracts", documents(member)) == []


@pytest.mark.parametrize("member", WITH_DATABASE, ids=lambda member: member.name)
def test_the_api_is_described_in_valid_openapi(member: Member) -> None:
    document = documents(member)["openapi.json"]
    validate(document)
    assert document["openapi"].startswith("3.1")


@pytest.mark.parametrize("member", WITH_DATABASE, ids=lambda member: member.name)
def test_every_endpoint_declares_who_may_use_it(member: Member) -> None:
    for path, operations in documents(member)["openapi.json"]["paths"].items():
        for method, operation in operations.items():
            assert operation["x-access"]["level"] in LEVELS, (method, path)


@pytest.mark.invariant("S49")
@pytest.mark.parametrize(("member", "fact"), FACTS)
def test_every_fact_has_a_schema_and_an_example_that_it_reads_again(member: Member, fact: type[Fact]) -> None:
    example = fact.example()
    assert fact.model_validate(example.model_dump(mode="json")) == example
    assert fact.schema_uri() in documents(member)
