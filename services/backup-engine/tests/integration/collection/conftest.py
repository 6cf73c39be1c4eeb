"""Two organizations with a machine each; the second one's vault is never touched by what a test does to the first."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from backup_engine.testing.engine import Engine
from backup_engine.testing.vaults import Vault, disk


@pytest.fixture
async def neighbour(engine: Engine) -> AsyncIterator[Vault]:
    """A second organization with a point, and with garbage that is not ours to collect."""
    other = await Vault.of(engine)
    content = disk(1, 2, 3)
    point_id = await other.back_up(content)
    died = await other.begin()
    await died.write(disk(7, 8, 9))
    await died.fail()
    other.age()
    before = await other.everything()
    yield other
    assert await other.everything() == before
    assert await other.restored(point_id) == content


@pytest.fixture
async def vault(engine: Engine, neighbour: Vault) -> Vault:
    del neighbour
    return await Vault.of(engine)
