"""/folder and the datastore browser: ranges, locks, names, and who is let in."""

import base64
from typing import Any

import pytest
from pyVmomi import vim

FLAT = "/folder/cold/cold-flat.vmdk"
HERE = {"dcPath": "ha-datacenter", "dsName": "datastore1"}


@pytest.fixture(scope="module")
def cold(shared_lab: Any) -> Any:
    return shared_lab.add("cold:16m:2m:off")


def get(lab: Any, path: str = FLAT, **more: Any) -> Any:
    headers = {"Cookie": f"vmware_soap_session={lab.cookies['vmware_soap_session']}", **more.pop("headers", {})}
    return lab.https.request(more.pop("method", "GET"), path, params=more.pop("params", HERE), headers=headers, **more)


def test_a_range_is_answered_with_206_and_nothing_is_announced(lab: Any, cold: Any) -> None:
    truth = lab.image(cold)
    answer = get(lab, headers={"Range": "bytes=1048576-1052671"})
    assert answer.status_code == 206
    assert answer.headers["content-range"] == f"bytes 1048576-1052671/{16 << 20}"
    assert "accept-ranges" not in answer.headers
    assert answer.content == truth[1048576:1052672]
    assert get(lab, headers={"Range": "bytes=16777000-99999999"}).content == truth[16777000:]
    assert get(lab).content == truth


def test_a_range_beyond_the_end_is_416_and_several_are_ignored(lab: Any, cold: Any) -> None:
    assert get(lab, headers={"Range": f"bytes={16 << 20}-"}).status_code == 416
    assert get(lab, headers={"Range": "bytes=0-1,4-5"}).status_code == 200


def test_head_tells_the_size_only(lab: Any, cold: Any) -> None:
    answer = get(lab, method="HEAD")
    assert (answer.headers["content-length"], answer.content) == (str(16 << 20), b"")


def test_nobody_reads_files_without_a_right(lab: Any, cold: Any) -> None:
    def status(**headers: str) -> int:
        return int(lab.https.get(FLAT, params=HERE, headers={"Range": "bytes=0-0", **headers}).status_code)

    good, bad = (base64.b64encode(f"root:{word}".encode()).decode() for word in (lab.running.password, "wrong"))
    assert status() == 401
    assert status(Cookie="vmware_soap_session=nonsense") == 401
    assert status(Cookie="vmware_cgi_ticket=nonsense") == 401
    assert status(Authorization=f"Basic {bad}") == 401
    assert status(Authorization=f"Basic {good}") == 206
    ticket = lab.si.content.sessionManager.AcquireGenericServiceTicket(
        vim.SessionManager.HttpServiceRequestSpec(method="httpGet", url=f"https://host{FLAT}")
    ).id
    assert status(Cookie=f"vmware_cgi_ticket={ticket}") == 206
    assert status(Cookie=f"vmware_cgi_ticket={ticket}") == 401


def test_extents_of_a_running_vm_are_locked_even_behind_a_snapshot(lab: Any, done: Any) -> None:
    vm = lab.add("locked:16m:2m")
    snapshot = lab.snapshot(vm)
    for name in ("locked-flat.vmdk", "locked-000001-sesparse.vmdk"):
        answer = get(lab, f"/folder/locked/{name}", headers={"Range": "bytes=0-0"})
        assert (answer.status_code, answer.text) == (500, "Failed to lock the file")
    assert get(lab, "/folder/locked/locked.vmdk").status_code == 200
    done(vm.PowerOff())
    assert get(lab, "/folder/locked/locked-flat.vmdk").content == lab.image(vm, snapshot)
    assert get(lab, "/folder/locked/locked-000001-sesparse.vmdk").status_code == 501


def test_the_descriptor_names_parent_and_extent(lab: Any, done: Any) -> None:
    vm = lab.add("text:16m:0:off", cbt=True)
    lab.snapshot(vm)
    text = get(lab, "/folder/text/text-000001.vmdk").text
    assert 'parentFileNameHint="text.vmdk"' in text
    assert f'RW {(16 << 20) // 512} SESPARSE "text-000001-sesparse.vmdk"' in text
    base = get(lab, "/folder/text/text.vmdk").text
    assert f'RW {(16 << 20) // 512} VMFS "text-flat.vmdk"' in base
    assert 'changeTrackPath="text-ctk.vmdk"' in base


@pytest.mark.parametrize("name", ["two words", "100%25", "a#b", "[brackets]", "Yaoundé ☼", "what?"])
def test_odd_names_are_decoded_once(lab: Any, name: str) -> None:
    vm = lab.add(f"{name}:16m:2m:off")
    path = vm.config.hardware.device[-2].backing.fileName.removeprefix("[datastore1] ").replace(".vmdk", "-flat.vmdk")
    encoded = path.encode().hex(" ").split()
    answer = get(lab, "/folder/" + "".join("/" if byte == "2f" else f"%{byte}" for byte in encoded))
    assert answer.status_code == 200
    assert answer.content == lab.image(vm)


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/folder/cold/none.vmdk", HERE),
        ("/folder/cold/cold-flat.vmdk", {"dsName": "other"}),
        ("/folder/cold/cold-flat.vmdk", {"dsName": "datastore1", "dcPath": "elsewhere"}),
        ("/folder/cold/%2e%2e/%2e%2e/%2e%2e/ssl/rui.key", HERE),
    ],
)
def test_what_is_not_there_is_not_found(lab: Any, cold: Any, path: str, params: dict[str, str]) -> None:
    assert get(lab, path, params=params).status_code == 404


def test_a_put_stores_a_whole_file_and_a_delete_removes_it(lab: Any, cold: Any) -> None:
    path = "/folder/cold/notes%20%26%20more.txt"
    assert get(lab, path, method="PUT", content=b"first, longer").status_code == 201
    assert get(lab, path, method="PUT", content=b"second", headers={"Content-Range": "bytes 2-7/8"}).status_code == 200
    assert get(lab, path).content == b"second"
    assert get(lab, path, method="DELETE").status_code == 200
    assert get(lab, path).status_code == 404


def test_a_disk_in_use_is_neither_overwritten_nor_deleted(lab: Any, cold: Any) -> None:
    before = lab.image(cold)
    assert get(lab, method="PUT", content=b"x").status_code == 500
    assert get(lab, method="DELETE").status_code == 500
    assert lab.image(cold) == before


def test_rules_slow_cut_and_damage_a_file(lab: Any, cold: Any) -> None:
    truth = lab.image(cold)
    lab.faults({"match": "/folder/*", "action": "corrupt", "after_bytes": 100, "times": 1})
    damaged = get(lab).content
    assert [at for at in range(4096) if damaged[at] != truth[at]] == [100]
    lab.faults({"match": "/folder/*", "action": "status", "status": 503, "times": 1})
    assert get(lab).status_code == 503
    assert get(lab).status_code == 200


def test_the_browser_lists_files_with_their_sizes(lab: Any, cold: Any, done: Any) -> None:
    browser = lab.si.content.rootFolder.childEntity[0].datastore[0].browser
    found = done(browser.SearchDatastore_Task("[datastore1] cold", None))
    names = {entry.path: entry.fileSize for entry in found.file}
    assert names["cold.vmdk"] > 0
    assert "cold.vmx" in names
    everywhere = done(browser.SearchDatastoreSubFolders_Task("[datastore1]", None))
    assert "[datastore1] cold/" in {entry.folderPath for entry in everywhere} | {
        entry.folderPath + "/" for entry in everywhere
    }
    with pytest.raises(vim.fault.FileNotFound):
        done(browser.SearchDatastore_Task("[datastore1] nowhere", None))
