"""Cycles of garbage collection on PostgreSQL and a folder: what goes, what stays, who else is running."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast
from uuid import uuid4

import pytest
from backup_engine.domain.collection import Step
from backup_engine.errors import ChunkNotLive, StaleToken, VaultReadOnly
from backup_engine.operator_command import collect_now
from backup_engine.ports.control_plane import Progress
from backup_engine.ports.vault import BlobStore, StoreUnavailable
from backup_engine.testing.backups import claim_backup
from backup_engine.testing.engine import Engine
from backup_engine.testing.rows import a_completed_restore
from backup_engine.testing.vaults import MIB, Vault, disk
from backup_engine.vault.errors import CatalogueBehind
from backup_engine.workflows.leased_collection import LeasedCollection


@pytest.mark.invariant("D43")
async def test_chunks_of_a_task_that_failed_are_collected_and_no_point_is_visible(vault: Vault) -> None:
    content = disk(1, 2)
    point_id = await vault.back_up(content)
    kept = vault.objects()
    died = await vault.begin()
    await died.write(disk(1, 3, 4))
    assert vault.objects() > kept
    await died.fail()
    await vault.collect(2)
    assert vault.objects() == kept
    assert len(vault.manifests()) == 1
    assert await vault.restored(point_id) == content


@dataclass
class Busy:
    """A store that turns the first deletion away."""

    inner: BlobStore
    asked: int = 0

    async def delete(self, names: Sequence[str]) -> None:
        self.asked += 1
        if self.asked == 1:
            raise StoreUnavailable(reason="503 SlowDown")
        await self.inner.delete(names)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@pytest.mark.invariant("D46")
async def test_a_store_that_is_busy_for_a_moment_does_not_end_a_cycle(vault: Vault) -> None:
    await vault.back_up(disk(1, 2))
    kept = vault.objects()
    died = await vault.begin()
    await died.write(disk(1, 3, 4))
    await died.fail()
    await vault.collect()
    busy = Busy(vault.engine.built.blobs)
    collector = replace(vault.collector, blobs=cast(BlobStore, busy))
    assert await collector.collect(vault.tenant_id, vault.vault_id)
    assert busy.asked > 1
    assert vault.objects() == kept


@pytest.mark.invariant("D43")
async def test_chunks_that_a_running_task_stored_or_met_are_never_collected(vault: Vault) -> None:
    left = await vault.begin()
    await left.write(disk(1, 2))
    await left.fail()
    running = await vault.begin()
    content = disk(2, 3)
    point = await running.write(content)
    stored = vault.objects()
    await vault.collect(3)
    assert vault.objects() <= stored
    point_id = await running.commit(point)
    await vault.collect(2)
    assert await vault.restored(point_id) == content
    assert len(vault.objects()) == 4  # Two chunks, a page, a root.


async def test_what_an_attempt_stored_is_kept_for_the_next_attempt(vault: Vault) -> None:
    first = await vault.begin()
    await first.write(disk(1, 2))
    stored = vault.objects()
    await first.engine.built.control_plane().hand_back(first.claim.grant)
    await vault.collect(3)
    assert vault.objects() == stored
    await vault.query("update tasks set status = 'ready' where id = :id", id=first.id)
    second = await claim_backup(vault.engine, first.id)
    await vault.collect(3)
    assert vault.objects() == stored
    point_id = await second.commit(await second.write(disk(1, 2)))
    assert await vault.restored(point_id) == disk(1, 2)


@pytest.mark.invariant("D75")
async def test_a_prepared_point_is_kept_until_another_attempt_has_found_its_manifest(vault: Vault) -> None:
    first = await vault.begin()
    content = disk(1, 2)
    point = await first.write(content)
    await first.prepare(point)
    await first.publish(point)
    await vault.query(
        "update tasks set lease_until = clock_timestamp() - interval '3 minutes' where id = :id", id=first.id
    )
    await vault.engine.dispatcher.take_back()
    vault.age()
    await vault.collect(3)
    await vault.query("update tasks set status = 'ready', publish_at = now() where id = :id", id=first.id)
    second = await claim_backup(vault.engine, first.id)
    assert second.claim.prepared_token == first.claim.grant.token
    await vault.engine.built.control_plane().commit(second.claim.grant, adopt=first.claim.grant.token)
    await vault.collect(2)
    assert await vault.restored(first.id) == content


@pytest.mark.invariant("D53")
async def test_a_deleted_points_own_chunks_go_and_every_other_point_restores(vault: Vault) -> None:
    contents = [disk(1, 2, 3), disk(1, 5, 3), disk(1, 5, 6)]
    points = [await vault.back_up(content) for content in contents]
    await vault.delete_point(points[1])
    await vault.collect(2)
    assert len(vault.manifests()) == 2
    assert await vault.query("select 1 from restore_points where id = :id", id=points[1]) == []
    for kept in (0, 2):
        assert await vault.restored(points[kept]) == contents[kept]
    await vault.delete_point(points[0])
    await vault.collect(2)
    assert await vault.restored(points[2]) == contents[2]
    assert len(vault.objects()) == 5  # Three chunks, a page, a root.


async def test_a_point_that_can_still_be_brought_back_keeps_its_chunks(vault: Vault) -> None:
    point_id = await vault.back_up(disk(1, 2))
    stored = vault.objects()
    sql = "update restore_points set state = 'tombstoned', tombstoned_at = now() - interval '6 days' where id = :id"
    await vault.query(sql, id=point_id)
    await vault.collect(3)
    assert vault.objects() == stored


async def test_a_running_tasks_parent_is_pinned_though_it_was_deleted(vault: Vault) -> None:
    content = disk(1, 2, 3)
    parent = await vault.back_up(content)
    running = await vault.begin()
    await vault.delete_point(parent)
    await vault.collect(3)
    after = disk(1, 2, 9)
    point_id = await running.commit(await running.write(after, changed=[(2 * MIB, MIB)]))
    await vault.collect(3)
    assert await vault.restored(point_id) == after
    assert vault.manifests() == {f"{point_id}.1"}


async def test_a_claim_notes_the_epoch_and_pins_the_parent(vault: Vault) -> None:
    parent = await vault.back_up(disk(1))
    await vault.collect()
    running = await vault.begin()
    sql = "select t.used_epoch, t.parent_point_id, v.gc_epoch from tasks t join vaults v on v.id = t.vault_id"
    (row,) = await vault.query(f"{sql} where t.id = :id", id=running.id)
    assert (row.used_epoch, row.gc_epoch, row.parent_point_id) == (2, 2, parent)


@pytest.mark.invariant("D78")
async def test_a_point_that_expires_while_it_is_downloaded_is_read_to_the_last_byte(vault: Vault) -> None:
    content = b"".join(bytes([number]) * (4 * MIB) for number in (1, 2, 3))
    point_id = await vault.back_up(content)
    readers = vault.engine.built.readers()
    opened = await readers.open(vault.tenant_id, vault.vault_id, point_id, 1)
    pieces = readers.raw(opened, 2000, 0, len(content))
    got = await anext(pieces)
    await vault.delete_point(point_id)
    await vault.collect(3)
    async for piece in pieces:
        got += piece
    assert got == content
    await vault.collect(2)
    assert vault.objects() == set()
    assert vault.manifests() == set()


@pytest.mark.invariant("D78")
async def test_a_download_that_was_given_up_pins_nothing_once_its_pin_is_over(vault: Vault) -> None:
    point_id = await vault.back_up(disk(1))
    await vault.engine.built.readers().open(vault.tenant_id, vault.vault_id, point_id, 1)
    await vault.delete_point(point_id)
    await vault.collect(2)
    assert len(vault.objects()) == 3
    await vault.query("update point_pins set held_until = now() - interval '1 second'")
    await vault.collect(2)
    assert vault.objects() == set()


@pytest.mark.invariant("D78")
async def test_a_restore_that_waits_or_runs_pins_its_point(vault: Vault) -> None:
    point_id = await vault.back_up(disk(1, 2))
    job_id = await a_completed_restore(vault.engine, vault.tenant_id, point_id)
    for status in ("waiting", "ready", "running", "committing"):
        await vault.query("update tasks set status = :status where job_id = :job", status=status, job=job_id)
        await vault.delete_point(point_id)
        await vault.collect(2)
        assert len(vault.objects()) == 4
    await vault.query("update tasks set status = 'completed' where job_id = :job", job=job_id)
    await vault.collect(2)
    assert vault.objects() == set()


@pytest.mark.invariant("D77")
async def test_an_aborted_attempts_manifest_goes_after_24_hours(vault: Vault) -> None:
    died = await vault.begin()
    point = await died.write(disk(1))
    await died.prepare(point)
    await died.publish(point)
    await died.fail()
    await vault.collect(2)
    assert len(vault.manifests()) == 1
    vault.age()
    await vault.collect()
    assert vault.manifests() == set()


async def test_an_object_that_nobody_registered_goes_after_24_hours_by_way_of_a_row(vault: Vault) -> None:
    point_id = await vault.back_up(disk(1, 2))
    kept = vault.objects()
    path = next(vault.folder.glob("chunks/*/*/*"))
    path.with_name(path.name.replace(".0", ".5")).write_bytes(b"torn")
    await vault.collect()
    assert len(vault.objects() - kept) == 1
    vault.age()
    await vault.collect()
    assert vault.objects() == kept
    (row,) = await vault.query("select state from chunks where generation = 5")
    assert row.state == "deleted"
    await vault.collect()
    assert await vault.query("select 1 from chunks where generation = 5") == []
    assert await vault.restored(point_id) == disk(1, 2)


async def test_a_row_outlives_its_object_until_every_task_has_ended_that_ran_while_it_went(vault: Vault) -> None:
    died = await vault.begin()
    await died.write(disk(1))
    await died.fail()
    await vault.collect()
    running = await vault.begin(await vault.another_machine())
    await vault.collect()
    assert vault.objects() == set()
    await vault.collect(2)
    rows = await vault.query("select state from chunks")
    assert {row.state for row in rows} == {"deleted"}
    await running.fail()
    await vault.collect(2)
    assert await vault.query("select state from chunks") == []


@pytest.mark.invariant("D74", "D77")
@pytest.mark.parametrize("lost", ["task", "token"])
async def test_an_older_database_makes_the_vault_read_only_and_nothing_is_deleted(vault: Vault, lost: str) -> None:
    content = disk(1, 2)
    old = await vault.back_up(content)
    new = await vault.back_up(disk(3, 4))
    await vault.query("delete from point_disks where point_id = :id", id=new)
    await vault.query("delete from restore_points where id = :id", id=new)
    if lost == "task":
        path = next(vault.folder.glob(f"points/{new}.*"))
        path.rename(path.with_name(f"{uuid4()}.1"))
    else:
        await vault.query(
            "update tasks set token = 0, status = 'waiting', prepared_token = null where id = :id", id=new
        )
    stored = vault.objects()
    vault.age()
    with pytest.raises(CatalogueBehind):
        await vault.collect()
    assert vault.objects() == stored
    assert await vault.state() == "read_only"
    assert await vault.restored(old) == content


@pytest.mark.invariant("D77")
async def test_a_read_only_vault_refuses_backups_and_says_who_must_look_while_restores_go_on(
    engine: Engine, vault: Vault
) -> None:
    content = disk(1, 2)
    point_id = await vault.back_up(content)
    running = await vault.begin()
    point = await running.write(disk(1, 3))
    ready = await vault.begin(await vault.another_machine())
    await engine.built.control_plane().hand_back(ready.claim.grant)
    await vault.query("update vaults set state = 'read_only'")
    with pytest.raises(VaultReadOnly, match="operator"):
        await running.prepare(point)
    with pytest.raises(VaultReadOnly):
        await vault.begin()
    async with engine.client(vault.tenant_id) as api:
        answer = await api.post("/api/backup-jobs/", json={"vm_id": str(vault.vm_id)})
        assert (answer.status_code, answer.json()["code"]) == (409, "vault_read_only")
        assert "operator" in answer.json()["detail"]
        restore = await api.post("/api/restore/disk/", json={"restore_point_id": str(point_id)})
        assert restore.status_code == 202
    await engine.dispatcher.admit()
    rows = await vault.query("select kind, status from tasks where status in ('waiting', 'ready')")
    assert {(row.kind, row.status) for row in rows} == {("backup", "waiting"), ("restore", "ready")}
    await vault.query("update tasks set status = 'ready' where id = :id", id=ready.id)
    assert await engine.built.control_plane().claim(ready.id, "cloud", "test") is None
    assert await vault.restored(point_id) == content


async def test_bytes_of_failed_tasks_count_against_the_quota_until_they_are_collected(vault: Vault) -> None:
    died = await vault.begin()
    point = await died.write(disk(1, 2))
    await died.engine.built.control_plane().renew(
        died.claim.grant, Progress(bytes_stored=point.statistics.bytes_stored)
    )
    await died.fail()
    assert await failed_bytes(vault) == point.statistics.bytes_stored > 0
    await vault.collect()
    assert await failed_bytes(vault) == point.statistics.bytes_stored
    await vault.collect()
    assert vault.objects() == set()
    assert await failed_bytes(vault) == 0


async def failed_bytes(vault: Vault) -> int:
    async with vault.engine.built.store.for_tenant(vault.tenant_id) as uow:
        return await uow.tasks.failed_bytes()


async def test_one_process_at_a_time_has_a_vaults_cycle(vault: Vault) -> None:
    mine = LeasedCollection(vault.engine.built.store, vault.tenant_id, vault.vault_id, "mine")
    assert await mine.take()
    assert not await vault.collector.collect(vault.tenant_id, vault.vault_id)
    await vault.query("update collections set held_until = now() - interval '1 second'")
    assert await vault.collector.collect(vault.tenant_id, vault.vault_id)
    with pytest.raises(StaleToken):
        await mine.cycle()


async def test_a_cycle_cut_off_after_any_step_goes_on_and_ends(vault: Vault) -> None:
    content = disk(1, 2)
    point_id = await vault.back_up(content)
    died = await vault.begin()
    await died.write(disk(3, 4))
    await died.fail()
    await vault.collect()
    turns = 1
    while not await vault.collector.collect(vault.tenant_id, vault.vault_id, lambda: False):
        turns += 1
    assert turns >= len(set(Step)) - 2
    assert len(vault.objects()) == 4
    assert await vault.restored(point_id) == content


async def test_a_root_that_is_not_live_is_refused_at_prepare(vault: Vault) -> None:
    running = await vault.begin()
    point = await running.write(disk(1))
    root = point.manifest.disks[0].root
    await vault.query("update chunks set state = 'deleting' where id = :id", id=root)
    with pytest.raises(ChunkNotLive):
        await running.prepare(point)


async def test_the_timer_collects_every_vault_that_is_due_and_none_that_is_read_only(engine: Engine) -> None:
    vaults = [await Vault.of(engine) for _ in range(3)]
    for one in vaults:
        died = await one.begin()
        await died.write(disk(1))
        await died.fail()
    await vaults[2].query("update vaults set state = 'read_only'")
    for _ in range(2):
        await vaults[0].collector.turn()
    assert [len(one.objects()) for one in vaults] == [0, 0, 3]


async def test_an_operator_collects_a_vault_at_once_and_reads_what_went(
    vault: Vault, capsys: pytest.CaptureFixture[str]
) -> None:
    died = await vault.begin()
    await died.write(disk(1, 2))
    await died.fail()
    for objects in (0, 4):
        assert await collect_now(vault.engine.built, vault.vault_id) == 0
        assert json.loads(capsys.readouterr().out)["objects"] == objects
    assert vault.objects() == set()
    assert await collect_now(vault.engine.built, uuid4()) == 1
    await vault.query("update vaults set state = 'read_only'")
    assert await collect_now(vault.engine.built, vault.vault_id) == 1
    assert "older than its store" in capsys.readouterr().err
