"""Export and import: what goes out is the frozen view, what comes in becomes the disk, and anything else is refused."""

import struct
import time
import zlib
from contextlib import nullcontext
from typing import Any

import httpx
import pytest
from pyVmomi import vim, vmodl

SECTOR, GRAIN = 512, 64 << 10


def read_stream(data: bytes) -> tuple[bytes, int]:
    """An independent reader: finds grains through footer, directory and tables, not by following markers."""
    assert data[:4] == b"KDMV"
    footer = data[-1024:-512]
    assert data[-512:] == bytes(512)
    assert footer[:4] == b"KDMV"
    capacity = struct.unpack_from("<Q", footer, 12)[0] * SECTOR
    directory = struct.unpack_from("<Q", footer, 56)[0] * SECTOR
    disk, grains = bytearray(capacity), 0
    for table_number in range(-(-capacity // (512 * GRAIN))):
        table = struct.unpack_from("<I", data, directory + 4 * table_number)[0] * SECTOR
        for entry in range(512) if table else ():
            at = struct.unpack_from("<I", data, table + 4 * entry)[0] * SECTOR
            if at:
                sector, size = struct.unpack_from("<QI", data, at)
                plain = zlib.decompress(data[at + 12 : at + 12 + size])
                assert sector * SECTOR == (table_number * 512 + entry) * GRAIN
                assert len(plain) == GRAIN
                room = min(GRAIN, capacity - sector * SECTOR)
                disk[sector * SECTOR : sector * SECTOR + room] = plain[:room]
                grains += 1
    return bytes(disk), grains


def import_spec(lab: Any, name: str, capacity: int, *, key: int = 2000, uuid: str | None = None) -> Any:
    disk = vim.vm.device.VirtualDisk(
        key=key, controllerKey=1000, unitNumber=0, capacityInBytes=capacity, capacityInKB=capacity // 1024,
        backing=vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
            fileName="", diskMode="persistent", thinProvisioned=True, uuid=uuid
        ),
    )  # fmt: skip
    controller = vim.vm.device.ParaVirtualSCSIController(key=1000, busNumber=0, sharedBus="noSharing")
    changes = [
        vim.vm.device.VirtualDeviceSpec(operation="add", device=controller),
        vim.vm.device.VirtualDeviceSpec(operation="add", fileOperation="create", device=disk),
    ]
    config = vim.vm.ConfigSpec(
        name=name, files=vim.vm.FileInfo(vmPathName="[datastore1]"), memoryMB=512, numCPUs=1, deviceChange=changes
    )
    return vim.vm.VmImportSpec(configSpec=config)


def begin_import(lab: Any, name: str, capacity: int, **more: Any) -> Any:
    pool = lab.si.content.rootFolder.childEntity[0].hostFolder.childEntity[0].resourcePool
    folder = lab.si.content.rootFolder.childEntity[0].vmFolder
    return lab.ready(pool.ImportVApp(import_spec(lab, name, capacity, **more), folder, None))


@pytest.fixture(scope="module")
def exported(shared_lab: Any) -> tuple[bytes, bytes]:
    vm = shared_lab.vm("web")
    snapshot = shared_lab.snapshot(vm, "exported")
    truth = shared_lab.image(vm, snapshot)
    lease = shared_lab.ready(snapshot.ExportSnapshot())
    stream = shared_lab.download(shared_lab.lease_url(lease))
    lease.Complete()
    return stream, truth


def test_an_exported_snapshot_is_the_frozen_view_while_the_guest_writes(lab: Any, done: Any) -> None:
    vm = lab.add("busy:64m:8m")
    snapshot = lab.snapshot(vm)
    before = lab.sha(vm, snapshot)["sha256"]
    lab.control.post(f"/_sim/vms/{vm._moId}/guest", json={"write_rate_mib_s": 50}).raise_for_status()
    lease = lab.ready(snapshot.ExportSnapshot())
    disk, _ = read_stream(lab.download(lab.lease_url(lease)))
    lease.Complete()
    lab.control.post(f"/_sim/vms/{vm._moId}/guest", json={"write_rate_mib_s": None})
    assert disk == lab.image(vm, snapshot)
    assert lab.sha(vm, snapshot)["sha256"] == before
    assert lab.image(vm) != disk


def test_the_stream_holds_only_grains_that_are_not_zero(exported: tuple[bytes, bytes]) -> None:
    stream, truth = exported
    disk, grains = read_stream(stream)
    wanted = sum(1 for at in range(0, len(truth), GRAIN) if any(truth[at : at + GRAIN]))
    assert disk == truth
    assert grains == wanted


def test_a_lease_url_names_no_host_and_no_size(lab: Any) -> None:
    vm = lab.vm("web")
    lease = lab.ready(lab.snapshot(vm, "url").ExportSnapshot())
    url = lease.info.deviceUrl[0]
    assert url.url.startswith("https://*/nfc/")
    assert url.fileSize is None
    assert url.disk
    assert url.key.endswith("/ParaVirtualSCSIController0:0")
    lease.Abort()


@pytest.mark.parametrize("path", ["/nfc/unknown/disk-0.vmdk", "/nfc/{lease}/disk-9.vmdk"])
def test_a_foreign_lease_or_disk_is_not_found(lab: Any, path: str) -> None:
    lease = lab.ready(lab.snapshot(lab.vm("web"), "foreign").ExportSnapshot())
    assert lab.https.get(path.format(lease=lease._moId)).status_code == 404
    lease.Abort()


def test_an_ended_lease_opens_nothing(lab: Any) -> None:
    lease = lab.ready(lab.snapshot(lab.vm("web"), "ended").ExportSnapshot())
    url = lab.lease_url(lease)
    lease.Complete()
    assert lab.https.get(url).status_code == 404
    with pytest.raises(vim.fault.InvalidState):
        lease.Progress(50)


def test_a_lease_without_progress_fails_and_its_stream_is_cut(make_lab: Any) -> None:
    lab = make_lab("slow:64m:8m", lease_timeout=1)
    lease = lab.ready(lab.snapshot(lab.vm("slow")).ExportSnapshot())
    lab.faults({"match": "/nfc/*", "action": "rate", "bytes_per_second": 2 << 20})
    with pytest.raises(httpx.RemoteProtocolError):
        lab.download(lab.lease_url(lease))
    assert lease.state == "error"
    assert isinstance(lease.error, vim.fault.Timedout)


def test_progress_keeps_a_lease_alive(make_lab: Any, eventually: Any) -> None:
    lab = make_lab("slow:64m:2m", lease_timeout=1)
    lease = lab.ready(lab.snapshot(lab.vm("slow")).ExportSnapshot())
    end = time.monotonic() + 1.5

    def beat() -> bool:
        lease.Progress(50)
        return time.monotonic() > end

    eventually(beat)
    assert lease.state == "ready"
    lease.Abort()


def test_an_export_blocks_power_on_destroy_and_removal_of_its_snapshot(lab: Any, done: Any) -> None:
    vm = lab.add("blocked:16m:0:off")
    snapshot = lab.snapshot(vm)
    lease = lab.ready(snapshot.ExportSnapshot())
    for refused in (vm.PowerOn, vm.Destroy):
        with pytest.raises(vim.fault.TaskInProgress):
            done(refused())
    with pytest.raises(vim.fault.TaskInProgress):
        snapshot.RemoveSnapshot_Task(False)
    lease.Abort()
    done(vm.Destroy())


def test_a_running_vm_cannot_be_exported_whole(lab: Any) -> None:
    with pytest.raises(vim.fault.InvalidPowerState):
        lab.vm("web").ExportVm()


def test_a_powered_off_vm_is_exported_whole(lab: Any) -> None:
    vm = lab.add("cold:32m:4m:off:gpt")
    lease = lab.ready(vm.ExportVm())
    disk, _ = read_stream(lab.download(lab.lease_url(lease)))
    lease.Complete()
    assert disk == lab.image(vm)


def test_a_cut_stream_is_seen_as_cut(lab: Any) -> None:
    lease = lab.ready(lab.snapshot(lab.vm("web"), "cut").ExportSnapshot())
    lab.faults({"match": "/nfc/*", "action": "cut", "after_bytes": 1 << 20, "times": 1})
    with pytest.raises(httpx.RemoteProtocolError):
        lab.download(lab.lease_url(lease))
    lease.Abort()


@pytest.mark.parametrize(("after_bytes", "acted"), [(1 << 20, 1), (1 << 40, 0)])
def test_a_rule_tells_whether_it_took_effect(lab: Any, after_bytes: int, acted: int) -> None:
    lease = lab.ready(lab.snapshot(lab.vm("web"), "told").ExportSnapshot())
    lab.faults({"match": "/nfc/*", "action": "cut", "after_bytes": after_bytes, "times": 1})
    with pytest.raises(httpx.RemoteProtocolError) if acted else nullcontext():
        lab.download(lab.lease_url(lease))
    lease.Abort()
    rule = lab.control.get("/_sim/faults").json()["rules"][0]
    assert (rule["times"], rule["acted"]) == (0, acted)


def test_an_imported_disk_is_bit_identical_and_sparse(lab: Any, done: Any, exported: tuple[bytes, bytes]) -> None:
    stream, truth = exported
    lease = begin_import(lab, "restored", len(truth), key=2004, uuid="6000c29a-1111-2222-3333-444455556666")
    url = lab.lease_url(lease)
    assert lease.info.deviceUrl[0].importKey == "/restored/ParaVirtualSCSIController0:0"
    pieces = (stream[at : at + 100_000] for at in range(0, len(stream), 100_000))
    assert lab.https.post(url, content=pieces).status_code == 200
    lease.Progress(100)
    lease.Complete()
    vm = lab.vm("restored")
    device = next(item for item in vm.config.hardware.device if isinstance(item, vim.vm.device.VirtualDisk))
    assert (device.key, device.backing.uuid) == (2004, "6000c29a-1111-2222-3333-444455556666")
    assert lab.image(vm, key=2004) == truth
    shown = next(item for item in lab.control.get("/_sim/vms").json()["results"] if item["name"] == "restored")
    assert shown["disks"][0]["allocated_bytes"] < 16 << 20
    done(vm.PowerOn())


@pytest.mark.parametrize("damage", ["truncated", "no footer", "marker", "grain", "beyond capacity"])
def test_a_damaged_import_is_refused_and_fails_the_lease(lab: Any, exported: tuple[bytes, bytes], damage: str) -> None:
    stream, truth = exported
    capacity = len(truth)
    bad = bytearray(stream)
    if damage == "truncated":
        bad = bad[: len(bad) // 2 // 512 * 512]
    elif damage == "no footer":
        bad = bad[:-2048] + bytes(512)
    elif damage == "marker":
        bad[65536 + 8 : 65536 + 12] = struct.pack("<I", 0)
        bad[65536 + 12 : 65536 + 16] = struct.pack("<I", 77)
    elif damage == "grain":
        bad[65536 + 40 : 65536 + 60] = bytes(20)
    else:
        capacity = 32 << 20
    lease = begin_import(lab, f"bad {damage}", capacity)
    assert lab.https.post(lab.lease_url(lease), content=bytes(bad)).status_code == 500
    assert lease.state == "error"
    lease.Abort()
    names = [item["name"] for item in lab.control.get("/_sim/vms").json()["results"]]
    assert f"bad {damage}" not in names


def test_an_aborted_import_leaves_no_vm(lab: Any) -> None:
    lease = begin_import(lab, "aborted", 16 << 20)
    lease.Abort()
    assert "aborted" not in [item["name"] for item in lab.control.get("/_sim/vms").json()["results"]]
    assert not (lab.simulator.spec.folder / "datastores/datastore1/aborted").exists()


def test_an_import_without_its_bytes_cannot_be_completed(lab: Any) -> None:
    lease = begin_import(lab, "empty", 16 << 20)
    with pytest.raises(vim.fault.InvalidState):
        lease.Complete()


def test_an_importing_vm_cannot_be_powered_on(lab: Any, done: Any) -> None:
    lease = begin_import(lab, "early", 16 << 20)
    with pytest.raises(vim.fault.TaskInProgress):
        done(lab.vm("early").PowerOn())
    lease.Abort()


def test_an_unknown_lease_is_not_found_over_soap(lab: Any) -> None:
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        vim.HttpNfcLease("no-such-lease", lab.si._stub).Progress(1)
