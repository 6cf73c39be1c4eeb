"""The committed contracts are what code and migrations make, and we can read what others publish."""

import json
import os
from pathlib import Path

import pytest
from backup_engine.contracts import documents
from backup_engine.events import FACTS
from backup_engine.messaging.handlers import subscriptions
from backup_engine.persistence.tables import PARTITIONS, metadata
from backup_engine.testing.engine import Engine
from common import contracts
from common.persistence.access import read_access
from common.persistence.rls import IDENTITY_COLUMNS
from openapi_spec_validator import validate
from sqlalchemy.ext.asyncio import create_async_engine

FOLDER = Path(__file__).parents[2] / "contracts"
SERVICES = FOLDER.parents[1]


def test_the_committed_documents_are_what_the_code_makes() -> None:
    assert contracts.differing(FOLDER, documents()) == []


def test_the_api_is_described_in_valid_openapi_and_keeps_its_slashes() -> None:
    document = documents()["openapi.json"]
    validate(document)
    assert document["openapi"].startswith("3.1")
    without = [path for path in document["paths"] if not path.endswith("/")]
    assert without == ["/api/restore/jobs/{job_id}/disks/{disk_key}/content"]


@pytest.mark.invariant("S49")
def test_every_fact_has_a_version_a_schema_and_an_example_that_it_reads_again() -> None:
    for fact in FACTS:
        example = fact.example()
        assert fact.model_validate(example.model_dump(mode="json")) == example
        assert fact.schema_uri() in documents()


@pytest.mark.parametrize("subscription", subscriptions.all(), ids=lambda one: one.type)
def test_the_examples_of_others_can_be_read(subscription) -> None:
    """Every org.* fact carries the same whole state; those that nobody publishes yet are read by its example."""
    events = SERVICES / subscription.source / "contracts" / "events"
    published = events / f"{subscription.type}.json"
    if not published.exists():
        published = events / "org.provisioned.v1.json"
    examples = json.loads(published.read_text(encoding="utf-8"))["examples"]
    assert examples
    for example in examples:
        assert subscription.reader.model_validate(example | {"added_later": {"by": "the producer"}})


async def access(engine: Engine) -> dict:
    settings = engine.built.settings
    password = settings.database_owner_password.get_secret_value()
    url = settings.database_url.replace("postgresql://", f"postgresql+asyncpg://backup_engine_owner:{password}@")
    opened = create_async_engine(url)
    try:
        async with opened.connect() as connection:
            return await read_access(connection, "backup_engine")
    finally:
        await opened.dispose()


@pytest.mark.integration
@pytest.mark.invariant("S2", "S7")
async def test_the_database_grants_exactly_what_access_json_says(engine: Engine) -> None:
    found = json.loads(json.dumps(await access(engine)))
    committed = FOLDER / "access.json"
    if os.environ.get("EBM_WRITE_CONTRACTS"):
        committed.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    assert json.loads(committed.read_text(encoding="utf-8")) == found
    for name, table in found.items():
        for role, verbs in table["grants"].items():
            updatable = verbs.get("update", "")
            assert updatable != "*", (name, role)
            assert not IDENTITY_COLUMNS & set(updatable.split(",")), (name, role)


@pytest.mark.integration
@pytest.mark.invariant("S2", "S11")
async def test_partitions_are_forced_and_granted_to_nobody(engine: Engine) -> None:
    found = await access(engine)
    for name in PARTITIONS:
        assert found[name]["row_security"] == "forced"
        assert found[name]["grants"] == {}


def test_every_key_of_a_table_begins_with_the_tenant() -> None:
    mechanisms = {"outbox", "inbox", "mails", "idempotency_keys", "audit_log", "leader_leases", *PARTITIONS}
    for name, table in metadata.tables.items():
        if name in mechanisms:
            continue
        assert next(iter(table.primary_key.columns)).name == "tenant_id", name
        for constraint in table.foreign_key_constraints:
            assert constraint.column_keys[0] == "tenant_id", (name, constraint.column_keys)
