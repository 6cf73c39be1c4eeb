"""What the guide promises of backup-engine's API, what it reads of others, and its tables' keys and partitions."""

import json
from pathlib import Path

import pytest
from backup_engine.contracts import documents
from backup_engine.messaging.handlers import subscriptions
from backup_engine.persistence.tables import PARTITIONS, metadata
from backup_engine.testing.engine import Engine
from common.persistence.access import read_access
from sqlalchemy.ext.asyncio import create_async_engine

SERVICES = Path(__file__).parents[3]


def test_the_api_keeps_its_slashes() -> None:
    without = [path for path in documents()["openapi.json"]["paths"] if not path.endswith("/")]
    assert without == ["/api/restore/jobs/{job_id}/disks/{disk_key}/content"]


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
