"""What the migrations make is what the code declares, in every service."""

import importlib
import re

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from common.testing import ServiceDatabase
from devstack.members import Member
from sqlalchemy.ext.asyncio import create_async_engine

pytestmark = pytest.mark.integration


async def test_the_migrations_make_the_tables_that_the_code_declares(database: ServiceDatabase, member: Member) -> None:
    metadata = importlib.import_module(f"{member.module}.persistence.tables").metadata
    # A partition has what its parent has; Alembic's own table is nobody's declaration.
    not_compared = re.compile(r"alembic_version|\w+_\d+")

    def include(_object: object, name: str | None, kind: str, _reflected: bool, _other: object) -> bool:
        return kind != "table" or not not_compared.fullmatch(name or "")

    engine = create_async_engine(database.admin_url.replace("postgresql://", "postgresql+asyncpg://"))
    try:
        async with engine.connect() as connection:
            differences = await connection.run_sync(
                lambda plain: compare_metadata(
                    MigrationContext.configure(plain, opts={"include_object": include}), metadata
                )
            )
    finally:
        await engine.dispose()
    assert differences == []
