"""Writers and the collector on the same rows at once: PostgreSQL's row lock decides, and no point loses a chunk."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from backup_engine.testing.vaults import MIB, Vault, disk
from common.testing import eventually


async def to_the_sweep(vault: Vault) -> None:
    """Go on with the cycle until the next thing it does is to sweep."""
    for _ in range(100):
        (row,) = await vault.query("select phase from collections")
        if row.phase == "sweeping":
            return
        assert not await vault.collector.collect(vault.tenant_id, vault.vault_id, lambda: False)
    raise AssertionError(row.phase)


async def garbage(vault: Vault) -> None:
    """Chunks 1, 2 and 3, of a task that failed, and so long ago that the next cycle takes them."""
    died = await vault.begin()
    await died.write(disk(1, 2, 3))
    await died.fail()
    await vault.collect()
    assert not await vault.collector.collect(vault.tenant_id, vault.vault_id, lambda: False)


async def waits_for_a_lock(vault: Vault) -> None:
    async def waiting() -> bool:
        rows = await vault.query("select 1 from pg_locks where not granted")
        return bool(rows)

    await eventually(waiting, seconds=30, what="a statement waits for a row lock")


@pytest.mark.invariant("D44")
async def test_a_chunk_that_a_backup_marks_while_the_sweep_waits_for_its_row_survives(vault: Vault) -> None:
    await garbage(vault)
    await to_the_sweep(vault)
    backup = await vault.begin(await vault.another_machine())
    ids = [bytes(row.id) for row in await vault.query("select id from chunks where type = 'chunk'")]
    store = vault.engine.built.store
    async with store.for_tenant(vault.tenant_id) as uow:
        known = await uow.chunks.known(vault.vault_id, ids)
        sweeping = asyncio.create_task(vault.collector.collect(vault.tenant_id, vault.vault_id))
        await waits_for_a_lock(vault)
    assert await sweeping
    assert len(known) == 3
    rows = await vault.query("select state from chunks where type = 'chunk'")
    assert [row.state for row in rows] == ["live"] * 3
    point_id = await backup.commit(await backup.write(disk(1, 2, 3)))
    await vault.collect(2)
    assert await vault.restored(point_id) == disk(1, 2, 3)


@pytest.mark.invariant("D44")
async def test_a_backup_that_waits_for_the_sweeps_row_does_not_get_what_the_sweep_took(vault: Vault) -> None:
    await garbage(vault)
    await to_the_sweep(vault)
    backup = await vault.begin(await vault.another_machine())
    ids = [bytes(row.id) for row in await vault.query("select id from chunks where type = 'chunk'")]
    store = vault.engine.built.store
    async with store.for_tenant(vault.tenant_id) as uow:
        await uow.collections.sweep(vault.vault_id, b"")
        asking = asyncio.create_task(backup.catalogue.known_chunks(ids))
        await waits_for_a_lock(vault)
    assert await asking == {}
    content = disk(1, 2, 3)
    point = await backup.write(content)
    await vault.collect()
    point_id = await backup.commit(point)
    await vault.collect(2)
    assert await vault.restored(point_id) == content
    rows = await vault.query("select generation from chunks where type = 'chunk' and state = 'live'")
    assert [row.generation for row in rows] == [1] * 3


@pytest.mark.invariant("D44", "D50")
async def test_backups_dedup_against_old_chunks_while_cycle_after_cycle_runs(vault: Vault) -> None:
    await garbage(vault)
    machines = [await vault.another_machine() for _ in range(3)]
    contents = [disk(1, 2, 9), disk(2, 3, 8), disk(3, 1, 7)]
    done = asyncio.Event()

    async def collecting() -> None:
        while not done.is_set():
            await vault.collector.collect(vault.tenant_id, vault.vault_id)

    async def backing_up(vm_id: UUID, content: bytes) -> UUID:
        await vault.back_up(content, vm_id)
        return await vault.back_up(content[MIB:] + content[:MIB], vm_id)

    async with asyncio.TaskGroup() as group:
        group.create_task(collecting())
        async with asyncio.TaskGroup() as writers:
            tasks = [writers.create_task(backing_up(*one)) for one in zip(machines, contents, strict=True)]
        done.set()
    for task, content in zip(tasks, contents, strict=True):
        assert await vault.restored(task.result()) == content[MIB:] + content[:MIB]
    await vault.collect(2)
    for task, content in zip(tasks, contents, strict=True):
        assert await vault.restored(task.result()) == content[MIB:] + content[:MIB]
