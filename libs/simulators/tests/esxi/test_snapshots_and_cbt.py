"""Snapshot trees, delta chains that stay bit-exact, and changed block tracking as a true superset."""

import random
from typing import Any

import numpy as np
import pytest
from pyVmomi import vim, vmodl

BLOCK = 64 << 10


def disk_of(vm: Any, key: int = 2000) -> Any:
    return next(item for item in vm.config.hardware.device if item.key == key)


def enable_cbt(vm: Any, done: Any, *, on: bool = True) -> None:
    done(vm.ReconfigVM_Task(vim.vm.ConfigSpec(changeTrackingEnabled=on)))


def areas(vm: Any, snapshot: Any, change_id: str, *, key: int = 2000) -> list[tuple[int, int]]:
    """All pages, with proof that they cover the disk."""
    capacity, at, found = disk_of(vm, key).capacityInBytes, 0, []
    while at < capacity:
        page = vm.QueryChangedDiskAreas(snapshot, key, at, change_id)
        assert page.startOffset == at
        assert page.length > 0
        found += [(area.start, area.length) for area in page.changedArea]
        at += page.length
    return found


def changed_blocks(before: bytes, after: bytes) -> set[int]:
    one, two = (np.frombuffer(image, dtype=np.uint8).reshape(-1, BLOCK) for image in (before, after))
    return set(np.flatnonzero((one != two).any(axis=1)).tolist())


def covered(found: list[tuple[int, int]]) -> set[int]:
    return {number for start, length in found for number in range(start // BLOCK, -(-(start + length) // BLOCK))}


def test_a_snapshot_stays_bit_exact_while_the_chain_grows(lab: Any, done: Any) -> None:
    vm = lab.add("chain:16m:2m")
    views = []
    for number in range(4):
        snapshot = lab.snapshot(vm, f"s{number}")
        views.append((snapshot, lab.image(vm, snapshot)))
        lab.write(vm, 0.2, seed=number)
        lab.poke(vm, 5000 + number, b"unaligned" * 700)
    now = lab.image(vm)
    assert len({view for _, view in views}) == 4
    for snapshot, view in views:
        assert lab.image(vm, snapshot) == view
    done(views[1][0].RemoveSnapshot_Task(removeChildren=False))
    done(views[3][0].RemoveSnapshot_Task(removeChildren=False))
    assert lab.image(vm) == now
    assert lab.image(vm, views[0][0]) == views[0][1]
    assert lab.image(vm, views[2][0]) == views[2][1]
    done(vm.RemoveAllSnapshots_Task())
    assert lab.image(vm) == now
    assert vm.snapshot is None
    assert disk_of(vm).backing.parent is None


def test_the_backing_names_the_chain(lab: Any) -> None:
    vm = lab.add("named:16m:0")
    first = lab.snapshot(vm, "a")
    second = lab.snapshot(vm, "b")
    backing = disk_of(vm).backing
    assert backing.fileName == "[datastore1] named/named-000002.vmdk"
    assert backing.parent.fileName == "[datastore1] named/named-000001.vmdk"
    assert backing.parent.parent.fileName == "[datastore1] named/named.vmdk"
    frozen = disk_of(second).backing
    assert frozen.fileName == "[datastore1] named/named-000001.vmdk"
    tree = vm.snapshot.rootSnapshotList
    assert (tree[0].snapshot, tree[0].childSnapshotList[0].snapshot) == (first, second)
    assert vm.snapshot.currentSnapshot == second
    assert [len(disk.chain) for disk in vm.layoutEx.disk] == [3]


def test_removing_a_snapshot_under_write_load_loses_nothing(lab: Any, done: Any, eventually: Any) -> None:
    vm = lab.add("loaded:16m:4m")
    snapshot = lab.snapshot(vm)
    lab.write(vm, 0.5, seed=3)
    lab.faults({"match": "RemoveSnapshot_Task", "action": "rate", "bytes_per_second": 4 << 20})
    task = snapshot.RemoveSnapshot_Task(removeChildren=False)
    marks = {}
    for number in range(60):
        marks[(9 << 20) + number * 8192] = bytes([number + 1]) * 5000
        lab.poke(vm, (9 << 20) + number * 8192, marks[(9 << 20) + number * 8192])
    done(task)
    image = lab.image(vm)
    assert all(image[at : at + len(data)] == data for at, data in marks.items())


def test_a_reverted_disk_is_what_it_was_and_can_branch(lab: Any, done: Any) -> None:
    vm = lab.add("branch:16m:2m")
    base = lab.snapshot(vm, "base")
    truth = lab.image(vm, base)
    lab.write(vm, 0.5, seed=1)
    left = lab.snapshot(vm, "left")
    left_truth = lab.image(vm, left)
    done(base.RevertToSnapshot_Task())
    assert vm.runtime.powerState == "poweredOff"
    assert lab.image(vm) == truth
    right = lab.snapshot(vm, "right")
    assert {child.name for child in vm.snapshot.rootSnapshotList[0].childSnapshotList} == {"left", "right"}
    done(base.RemoveSnapshot_Task(removeChildren=False))
    assert lab.image(vm, left) == left_truth
    assert lab.image(vm, right) == truth


def test_the_record_knows_a_snapshot_after_it_is_gone(lab: Any, done: Any) -> None:
    vm = lab.add("recorded:16m:2m")
    snapshot = lab.snapshot(vm, "remember me")
    truth = lab.sha(vm, snapshot)["sha256"]
    lab.write(vm, 0.5, seed=9)
    done(snapshot.RemoveSnapshot_Task(removeChildren=False))
    found = lab.control.get("/_sim/recorded", params={"name": "remember me"}).json()["results"]
    assert [(entry["sha256"], entry["disk_key"], entry["vm"]) for entry in found] == [(truth, 2000, vm._moId)]


def test_a_failed_consolidation_is_flagged_and_can_be_repeated(lab: Any, done: Any) -> None:
    vm = lab.add("stuck:16m:2m")
    snapshot = lab.snapshot(vm)
    lab.write(vm, 0.5)
    now = lab.image(vm)
    lab.faults({"match": "RemoveSnapshot_Task", "action": "keep_files", "times": 1})
    done(snapshot.RemoveSnapshot_Task(removeChildren=False))
    assert vm.runtime.consolidationNeeded
    assert vm.snapshot is None
    assert disk_of(vm).backing.parent is not None
    done(vm.ConsolidateVMDisks_Task())
    assert not vm.runtime.consolidationNeeded
    assert disk_of(vm).backing.parent is None
    assert lab.image(vm) == now


def test_one_task_at_a_time_changes_a_vm(lab: Any, done: Any) -> None:
    vm = lab.add("busy one:16m:0")
    snapshot = lab.snapshot(vm)
    lab.faults({"match": "RemoveSnapshot_Task", "action": "delay", "seconds": 0.5, "in_task": True})
    task = snapshot.RemoveSnapshot_Task(removeChildren=False)
    with pytest.raises(vim.fault.TaskInProgress):
        vm.CreateSnapshot_Task("other", "", False, False)
    assert task.info.state == "running"
    done(task)


def test_a_task_can_fail_by_rule(lab: Any, done: Any) -> None:
    vm = lab.add("failing:16m:0")
    rule = {"match": "CreateSnapshot_Task", "action": "fault", "in_task": True, "fault": "ApplicationQuiesceFault"}
    lab.faults({**rule, "times": 1})
    with pytest.raises(vim.fault.ApplicationQuiesceFault):
        lab.snapshot(vm)
    assert vm.snapshot is None
    assert lab.snapshot(vm) is not None


def test_a_chain_has_an_end(lab: Any) -> None:
    vm = lab.add("deep:16m:0")
    for number in range(32):
        lab.snapshot(vm, f"s{number}")
    with pytest.raises(vim.fault.SnapshotFault):
        lab.snapshot(vm, "one more")


def test_cbt_needs_a_stun_and_answers_falsely_before(lab: Any, done: Any) -> None:
    vm = lab.add("stun:16m:2m")
    early = lab.snapshot(vm, "early")
    enable_cbt(vm, done)
    lab.write(vm, 0.5)
    false_empty = vm.QueryChangedDiskAreas(early, 2000, 0, "52 00 00 00 00 00 00 00-00 00 00 00 00 00 00 00/1")
    assert (false_empty.changedArea, false_empty.length) == ([], 16 << 20)
    assert disk_of(early).backing.changeId is None
    late = lab.snapshot(vm, "late")
    assert disk_of(late).backing.changeId is not None


def test_a_snapshot_without_a_stun_keeps_the_stale_change_id(lab: Any, done: Any) -> None:
    vm = lab.add("stale:16m:2m", cbt=True)
    first = disk_of(lab.snapshot(vm, "a")).backing.changeId
    enable_cbt(vm, done, on=False)
    enable_cbt(vm, done)
    lab.write(vm, 0.5)
    lab.faults({"match": "CreateSnapshot_Task", "action": "no_stun", "times": 1})
    trap = lab.snapshot(vm, "b")
    assert disk_of(trap).backing.changeId.rpartition("/")[0] == first.rpartition("/")[0]
    assert vm.QueryChangedDiskAreas(trap, 2000, 0, first).changedArea == []
    later = disk_of(lab.snapshot(vm, "c")).backing.changeId
    assert later.rpartition("/")[0] != first.rpartition("/")[0]


def test_cbt_is_off_without_the_setting(lab: Any) -> None:
    vm = lab.add("off:16m:2m")
    snapshot = lab.snapshot(vm)
    with pytest.raises(vim.fault.FileFault):
        vm.QueryChangedDiskAreas(snapshot, 2000, 0, "*")


@pytest.mark.parametrize("seed", range(3))
def test_changed_areas_are_a_superset_of_what_changed(lab: Any, done: Any, seed: int) -> None:
    vm = lab.add(f"superset{seed}:16m:2m", cbt=True)
    chance = random.Random(seed)
    points = []
    for number in range(4):
        snapshot = lab.snapshot(vm, f"p{number}")
        points.append((snapshot, disk_of(snapshot).backing.changeId, lab.image(vm, snapshot)))
        for _ in range(chance.randint(1, 12)):
            at = chance.randrange(16 << 20)
            lab.poke(vm, at, chance.randbytes(min(chance.randint(1, 200_000), (16 << 20) - at)))
        if number == 1:
            done(points[0][0].RemoveSnapshot_Task(removeChildren=False))
    for older in range(4):
        for newer in range(max(older, 1), 4):
            found = areas(vm, points[newer][0], points[older][1])
            truth = changed_blocks(points[older][2], points[newer][2])
            assert truth <= covered(found)
            assert len(covered(found)) <= len(truth) + 2 * 12 * 3
    everything = covered(areas(vm, points[3][0], "*"))
    assert changed_blocks(bytes(16 << 20), points[3][2]) <= everything


def test_answers_are_paged(lab: Any) -> None:
    vm = lab.add("paged:32m:0", cbt=True)
    before = disk_of(lab.snapshot(vm, "a")).backing.changeId
    for number in range(0, 250, 2):
        lab.poke(vm, number * BLOCK, b"x")
    after = lab.snapshot(vm, "b")
    lab.faults({"match": "QueryChangedDiskAreas", "action": "page_size", "extents": 40})
    first = vm.QueryChangedDiskAreas(after, 2000, 0, before)
    assert len(first.changedArea) == 40
    assert first.length < 32 << 20
    assert covered(areas(vm, after, before)) == set(range(0, 250, 2))


def test_star_may_name_the_whole_disk_and_answers_may_lie_by_rule(lab: Any) -> None:
    vm = lab.add("lies:16m:2m", cbt=True)
    before = disk_of(lab.snapshot(vm, "a")).backing.changeId
    for number in range(0, 40, 2):
        lab.poke(vm, number * BLOCK, b"x")
    after = lab.snapshot(vm, "b")
    lab.faults(
        {"match": "QueryChangedDiskAreas", "action": "whole_disk", "times": 1},
        {"match": "QueryChangedDiskAreas", "action": "miss_changes", "skip": 1, "times": 1},
    )
    assert areas(vm, after, "*") == [(0, 16 << 20)]
    assert covered(areas(vm, after, before)) == set(range(0, 40, 4))
    assert covered(areas(vm, after, before)) == set(range(0, 40, 2))


def test_unknown_change_ids_and_positions_are_refused(lab: Any) -> None:
    vm = lab.add("strict:16m:2m", cbt=True)
    snapshot = lab.snapshot(vm)
    foreign = "52 00 00 00 00 00 00 00-00 00 00 00 00 00 00 00/1"
    with pytest.raises(vim.fault.FileFault):
        vm.QueryChangedDiskAreas(snapshot, 2000, 0, foreign)
    for key, start, change_id in ((2000, 0, "nonsense"), (2000, 16 << 20, "*"), (2999, 0, "*")):
        with pytest.raises(vmodl.fault.InvalidArgument):
            vm.QueryChangedDiskAreas(snapshot, key, start, change_id)
    with pytest.raises(vim.fault.FileFault):
        vm.QueryChangedDiskAreas(None, 2000, 0, "*")


def test_a_revert_gives_cbt_a_new_identity(lab: Any, done: Any) -> None:
    vm = lab.add("revert cbt:16m:2m", cbt=True)
    snapshot = lab.snapshot(vm, "a")
    before = disk_of(snapshot).backing.changeId
    done(snapshot.RevertToSnapshot_Task())
    done(vm.PowerOn())
    after = lab.snapshot(vm, "b")
    assert disk_of(after).backing.changeId.rpartition("/")[0] != before.rpartition("/")[0]
    with pytest.raises(vim.fault.FileFault):
        vm.QueryChangedDiskAreas(after, 2000, 0, before)


def test_cbt_of_a_powered_off_vm_goes_on(lab: Any, done: Any) -> None:
    vm = lab.add("goes on:16m:2m", cbt=True)
    first = lab.snapshot(vm, "a")
    older = disk_of(first).backing.changeId
    lab.write(vm, 0.1)
    done(vm.PowerOff())
    done(first.RemoveSnapshot_Task(removeChildren=False))
    second = lab.snapshot(vm, "b")
    assert disk_of(second).backing.changeId.rpartition("/")[0] == older.rpartition("/")[0]
    assert areas(vm, second, older)


def test_a_powered_off_vm_gets_no_cbt_by_a_snapshot(lab: Any, done: Any) -> None:
    vm = lab.add("cold cbt:16m:2m:off")
    enable_cbt(vm, done)
    assert disk_of(lab.snapshot(vm, "a")).backing.changeId is None
    done(vm.PowerOn())
    assert disk_of(vm).backing.changeId is not None
