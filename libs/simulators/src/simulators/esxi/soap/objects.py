"""Managed objects by id, and the value at a property path.

Not here: the properties themselves (`properties`).
"""

from collections.abc import Iterator
from typing import Any

from simulators.esxi.model.host import NETWORK, EsxHost
from simulators.esxi.soap.properties import COMMON, FOLDERS, PROPERTIES
from simulators.esxi.vmodl import fault, moid_of, property_info, property_list, vim, vmodl

SINGLETONS: dict[str, Any] = {
    "ServiceInstance": vim.ServiceInstance,
    "ha-property-collector": vmodl.query.PropertyCollector,
    "ViewManager": vim.view.ViewManager,
    "ha-sessionmgr": vim.SessionManager,
    "ha-searchindex": vim.SearchIndex,
    "ha-license-manager": vim.LicenseManager,
    "ha-nfc-file-manager": vim.FileManager,
    "ha-ovf-manager": vim.OvfManager,
    "ha-taskmgr": vim.TaskManager,
    "ha-datacenter": vim.Datacenter,
    "ha-compute-res": vim.ComputeResource,
    "ha-host": vim.HostSystem,
    "ha-root-pool": vim.ResourcePool,
    **dict.fromkeys(FOLDERS, vim.Folder),
}


def find(host: EsxHost, moid: str) -> tuple[Any, Any] | None:  # noqa: PLR0911 -- one place to look after the other
    """(type, state) of a managed object, None if there is none of this id."""
    if moid in SINGLETONS:
        return SINGLETONS[moid], moid
    if moid in host.spec.datastores:
        return vim.Datastore, moid
    if moid == f"HaNetwork-{NETWORK}":
        return vim.Network, moid
    if moid.startswith("datastorebrowser-") and moid.removeprefix("datastorebrowser-") in host.spec.datastores:
        return vim.host.DatastoreBrowser, moid.removeprefix("datastorebrowser-")
    for kind, known in (
        (vim.VirtualMachine, host.vms),
        (vim.Task, host.tasks.by_moid),
        (vim.HttpNfcLease, host.leases),
    ):
        if moid in known:
            return kind, known[moid]
    if moid in host.views:
        return type(host.views[moid].reference), host.views[moid]
    for vm in host.vms.values():
        snapshot = vm.snapshot(moid)
        if snapshot is not None:
            return vim.vm.Snapshot, snapshot
    return None


def demand(host: EsxHost, reference: Any) -> Any:
    """State of a reference.

    Raises:
        vmodl.fault.ManagedObjectNotFound: gone or never there, or of another type.
    """
    found = find(host, moid_of(reference))
    if found is None or (not issubclass(found[0], type(reference)) and not issubclass(type(reference), found[0])):
        name = f"{type(reference).__name__}:{moid_of(reference)}"
        text = f"The object '{name}' has already been deleted or has not been completely created"
        raise fault(vmodl.fault.ManagedObjectNotFound, text, obj=reference)
    return found[1]


def read_property(host: EsxHost, reference: Any, path: str) -> Any:
    """Value at a property path (`config.hardware.device[2000].backing`); None when unset.

    Raises:
        vmodl.query.InvalidProperty: the type has no such property.
        vmodl.fault.ManagedObjectNotFound: no such object.
    """
    state = demand(host, reference)
    kind = find(host, moid_of(reference))
    assert kind is not None
    head, _, rest = path.partition(".")
    try:
        property_info(kind[0], head)
    except AttributeError:
        raise fault(vmodl.query.InvalidProperty, f"no property {path}", name=path) from None
    getter = PROPERTIES.get(kind[0].__name__, {}).get(head) or COMMON.get(head)
    value = None if getter is None else getter(host, state)
    return _descend(value, rest, path) if rest else value


def _descend(value: Any, rest: str, path: str) -> Any:
    for part in rest.replace("[", ".[").split("."):
        if value is None:
            return None
        if part.startswith("["):
            wanted = part.strip('[]"')
            value = next((item for item in value if str(getattr(item, "key", "")) == wanted), None)
            continue
        if not part:
            continue
        try:
            value = getattr(value, part)
        except AttributeError:
            raise fault(vmodl.query.InvalidProperty, f"no property {path}", name=path) from None
    return value


def kinds() -> list[Any]:
    """Every type an object of this host can have."""
    moving = [vim.VirtualMachine, vim.vm.Snapshot, vim.Task, vim.HttpNfcLease, vim.Datastore, vim.Network]
    return [*set(SINGLETONS.values()), *moving, vim.view.ContainerView, vim.host.DatastoreBrowser]


def property_names(kind: Any) -> Iterator[str]:
    for info in property_list(kind):
        yield info.name
