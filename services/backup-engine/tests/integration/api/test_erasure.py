"""What an organization leaves outside of the database goes with it."""

import pytest
from backup_engine.testing.engine import Engine

pytestmark = pytest.mark.integration


@pytest.mark.invariant("S13")
async def test_files_that_restores_have_exported_go_with_their_organization_and_no_others(engine: Engine) -> None:
    gone, stays = await engine.tenant(), await engine.tenant()
    exports = engine.built.settings.export_folder
    assert exports is not None
    for tenant in (gone, stays):
        folder = exports / str(tenant) / "task"
        folder.mkdir(parents=True)
        (folder / "disk-2000.raw").write_bytes(b"what anybody can read")
    eraser = engine.built.eraser()
    assert (await eraser.erase(gone))["outside"] >= 1
    while await eraser.erase(gone):
        continue
    assert [folder.name for folder in exports.iterdir()] == [str(stays)]
    assert len(list(exports.rglob("*.raw"))) == 1
