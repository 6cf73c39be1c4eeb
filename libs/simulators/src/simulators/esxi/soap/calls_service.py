"""Calls of the service itself: sessions, search, views, the property collector, tasks, the datastore browser."""

import asyncio
import contextlib
import itertools
import time
from typing import Any

from simulators.esxi.http import files
from simulators.esxi.soap import objects, properties
from simulators.esxi.soap.calls import Call, call
from simulators.esxi.soap.collector import Filter, View, query, retrieve
from simulators.esxi.vmodl import fault, moid_of, vim, vmodl

_ids = itertools.count(1)
IDLE_WAIT_SECONDS = 1800


@call("RetrieveServiceContent", open_to_all=True)
def retrieve_service_content(c: Call) -> Any:
    return properties.content(c.host)


@call("CurrentTime")
def current_time(c: Call) -> Any:
    return objects.read_property(c.host, c.target, "serverClock")


@call("Login", open_to_all=True)
def login(c: Call) -> Any:
    if c.session.user is not None:
        raise fault(vim.fault.InvalidLogin, "The session is already logged in.")
    if not c.host.sessions.accepts(c.args["userName"], c.args["password"]):
        raise fault(vim.fault.InvalidLogin, "Cannot complete login due to an incorrect user name or password.")
    c.session.user = c.args["userName"]
    return properties.user_session(c.session)


@call("Logout")
def logout(c: Call) -> None:
    c.host.sessions.end(c.session.key)


@call("SessionIsActive")
def session_is_active(c: Call) -> bool:
    found = c.host.sessions.find(c.args["sessionID"])
    return found is not None and found.user == c.args["userName"]


@call("TerminateSession")
def terminate_session(c: Call) -> None:
    for key in c.args["sessionId"]:
        if c.host.sessions.find(key) is None or key == c.session.key:
            raise fault(vim.fault.NotFound, "no such session, or the own one")
        c.host.sessions.end(key)


@call("AcquireGenericServiceTicket")
def acquire_generic_service_ticket(c: Call) -> Any:
    return vim.SessionManager.GenericServiceTicket(id=c.host.sessions.issue_ticket())


# -- search and views -----------------------------------------------------------------------------------------------


@call("FindByUuid")
def find_by_uuid(c: Call) -> Any:
    found = find_all_by_uuid(c)
    return found[0] if found else None


@call("FindAllByUuid")
def find_all_by_uuid(c: Call) -> list[Any]:
    wanted = c.args["uuid"].lower()
    if not c.args["vmSearch"]:
        return [vim.HostSystem("ha-host")] if wanted == c.host.uuid else []
    by_instance = bool(c.args.get("instanceUuid"))
    return [
        vim.VirtualMachine(vm.moid)
        for vm in c.host.vms.values()
        if (vm.instance_uuid if by_instance else vm.uuid).lower() == wanted
    ]


@call("FindByDatastorePath")
def find_by_datastore_path(c: Call) -> Any:
    return next((vim.VirtualMachine(vm.moid) for vm in c.host.vms.values() if vm.vmx == c.args["path"]), None)


@call("FindByInventoryPath")
def find_by_inventory_path(c: Call) -> Any:
    prefix, _, name = c.args["inventoryPath"].strip("/").rpartition("/")
    if prefix != "ha-datacenter/vm":
        return None
    return next((vim.VirtualMachine(vm.moid) for vm in c.host.vms.values() if vm.name == name), None)


@call("FindChild")
def find_child(c: Call) -> Any:
    children = objects.read_property(c.host, c.args["entity"], "childEntity")
    return next((child for child in children if objects.read_property(c.host, child, "name") == c.args["name"]), None)


@call("CreateContainerView")
def create_container_view(c: Call) -> Any:
    objects.demand(c.host, c.args["container"])
    reference = vim.view.ContainerView(f"session[{c.session.key[:12]}]{next(_ids)}")
    c.host.views[moid_of(reference)] = View(reference, c.args["container"], c.args["type"], c.args["recursive"])
    return reference


@call("DestroyView")
def destroy_view(c: Call) -> None:
    c.host.views.pop(moid_of(c.target), None)


# -- property collector ---------------------------------------------------------------------------------------------


@call("RetrievePropertiesEx")
def retrieve_properties_ex(c: Call) -> Any:
    page, token = c.collector.first_page(retrieve(c.host, c.args["specSet"]), c.args["options"].maxObjects)
    return query.RetrieveResult(objects=page, token=token) if page else None


@call("RetrieveProperties")
def retrieve_properties(c: Call) -> list[Any]:
    return retrieve(c.host, c.args["specSet"])


@call("ContinueRetrievePropertiesEx")
def continue_retrieve_properties_ex(c: Call) -> Any:
    page, token = c.collector.next_page(c.args["token"])
    return query.RetrieveResult(objects=page, token=token)


@call("CancelRetrievePropertiesEx")
def cancel_retrieve_properties_ex(c: Call) -> None:
    c.collector.next_page(c.args["token"])


@call("CreateFilter")
def create_filter(c: Call) -> Any:
    retrieve(c.host, [c.args["spec"]])  # a bad specification fails here, not in every later answer
    item = Filter(f"session[{c.session.key[:12]}]filter-{next(_ids)}", c.args["spec"])
    c.collector.filters[item.moid] = item
    return query.Filter(item.moid)


@call("DestroyPropertyFilter")
def destroy_property_filter(c: Call) -> None:
    if c.collector.filters.pop(moid_of(c.target), None) is None:
        raise fault(vmodl.fault.ManagedObjectNotFound, "The filter is gone", obj=c.target)


@call("WaitForUpdatesEx")
async def wait_for_updates_ex(c: Call) -> Any:
    options = c.args.get("options")
    seconds = IDLE_WAIT_SECONDS if options is None or options.maxWaitSeconds is None else options.maxWaitSeconds
    return await _wait(c, seconds)


@call("WaitForUpdates")
async def wait_for_updates(c: Call) -> Any:
    return await _wait(c, IDLE_WAIT_SECONDS)


@call("CheckForUpdates")
def check_for_updates(c: Call) -> Any:
    return c.collector.updates(c.host, c.args.get("version") or "")


@call("CancelWaitForUpdates")
def cancel_wait_for_updates(c: Call) -> None:
    c.collector.cancelled = True
    c.host.changed()


async def _wait(c: Call, seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    version = c.args.get("version") or ""
    c.collector.cancelled = False
    while True:
        found = c.collector.updates(c.host, version)
        if found is not None:
            return found
        left = deadline - time.monotonic()
        if c.collector.cancelled:
            raise fault(vmodl.fault.RequestCanceled, "The request was canceled by a user.")
        if c.host.sessions.find(c.session.key) is None:
            raise fault(
                vim.fault.NotAuthenticated,
                "The session is not authenticated.",
                object=c.target,
                privilegeId="System.View",
            )
        if left <= 0 or c.host.stopping:
            return None
        with contextlib.suppress(TimeoutError):
            await c.host.wait_changed(min(left, 5.0))


@call("CancelTask")
def cancel_task(_: Call) -> None:
    raise fault(vmodl.fault.NotSupported, "The task cannot be canceled.")


# -- datastore browser and files --------------------------------------------------------------------------------------


@call("SearchDatastore_Task")
def search_datastore(c: Call) -> Any:
    return _search(c, recursive=False)


@call("SearchDatastoreSubFolders_Task")
def search_datastore_sub_folders(c: Call) -> Any:
    return _search(c, recursive=True)


def _search(c: Call, *, recursive: bool) -> Any:
    store, directory = files.split_path(c.args["datastorePath"])
    spec = c.args.get("searchSpec")
    patterns = (spec.matchPattern if spec is not None else None) or ["*"]

    async def work(_: Any) -> Any:
        await asyncio.sleep(0)
        found = files.search(c.host, store, directory, patterns, recursive=recursive)
        results = [
            vim.host.DatastoreBrowser.SearchResults(
                datastore=vim.Datastore(store), folderPath=f"[{store}] {folder}",
                file=[_file_info(entry) for entry in entries],
            )
            for folder, entries in found
        ]  # fmt: skip
        if recursive:
            typed = vim.host.DatastoreBrowser.SearchResults.Array()
            typed.extend(results)
            return typed
        return results[0]

    return c.task("DatastoreBrowser.search", work)


def _file_info(entry: files.Entry) -> Any:
    browser = vim.host.DatastoreBrowser
    kinds = {
        ".vmdk": browser.VmDiskInfo,
        ".vmx": browser.VmConfigInfo,
        ".nvram": browser.VmNvramInfo,
        ".log": browser.VmLogInfo,
    }
    kind = browser.FolderInfo if entry.is_folder else kinds.get(entry.suffix, browser.FileInfo)
    return kind(path=entry.name, fileSize=entry.size, modification=entry.modified, owner="root")


@call("MakeDirectory", writes=True)
def make_directory(c: Call) -> None:
    store, directory = files.split_path(c.args["name"])
    files.make_directory(c.host, store, directory, parents=bool(c.args.get("createParentDirectories")))


@call("DeleteDatastoreFile_Task", writes=True)
def delete_datastore_file(c: Call) -> Any:
    store, path = files.split_path(c.args["name"])

    async def work(_: Any) -> None:
        await asyncio.to_thread(files.delete, c.host, store, path)

    return c.task("FileManager.deleteFile", work)
