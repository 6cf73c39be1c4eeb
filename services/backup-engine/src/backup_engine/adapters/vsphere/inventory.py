"""What there is on a host: VMs, datastores, networks, hosts. Reads only."""

from typing import Any

from backup_engine.adapters.vsphere.devices import disks_of
from backup_engine.adapters.vsphere.session import Session, read_all, read_properties
from backup_engine.adapters.vsphere.vmodl import moid_of, vim
from backup_engine.errors.hypervisor import VmNotFound
from backup_engine.ports.hypervisor_values import (
    Datastore,
    Host,
    Inventory,
    Network,
    PowerState,
    SnapshotRef,
    VirtualMachine,
)

TAG = "ebm.task"
"""Key in a VM's extra configuration that says which restore made it."""

_POWER = {"poweredOn": PowerState.ON, "poweredOff": PowerState.OFF, "suspended": PowerState.SUSPENDED}

_VM_PATHS = (
    "name",
    "config.uuid",
    "config.instanceUuid",
    "config.template",
    "config.version",
    "config.guestFullName",
    "config.changeTrackingEnabled",
    "config.keyId",
    "config.extraConfig",
    "config.hardware.device",
    "capability.changeTrackingSupported",
    "runtime.powerState",
    "runtime.consolidationNeeded",
    "snapshot",
)
_DATASTORE_PATHS = ("summary.name", "summary.type", "summary.capacity", "summary.freeSpace", "summary.accessible")


async def read_inventory(session: Session) -> Inventory:
    """Everything that the account sees. A VM without configuration (being made, or inaccessible) is left out."""
    kinds: dict[Any, tuple[str, ...]] = {
        vim.VirtualMachine: _VM_PATHS,
        vim.Datastore: _DATASTORE_PATHS,
        vim.Network: ("name",),
        vim.HostSystem: ("name",),
    }
    found = await read_all(session, kinds)
    networks = [entry for kind, objects in found.items() if issubclass(kind, vim.Network) for entry in objects.items()]
    return Inventory(
        virtual_machines=tuple(_machine(moid, p) for moid, p in found[vim.VirtualMachine].items() if _is_readable(p)),
        datastores=tuple(_datastore(moid, p) for moid, p in found[vim.Datastore].items()),
        networks=tuple(Network(moid, p["name"]) for moid, p in networks),
        hosts=tuple(Host(moid, p["name"]) for moid, p in found[vim.HostSystem].items()),
    )


async def read_machine(session: Session, moid: str) -> VirtualMachine:
    """One VM, now. Raises VmNotFound."""
    properties = (await read_properties(session, vim.VirtualMachine, [moid], _VM_PATHS)).get(moid)
    if properties is None or not _is_readable(properties):
        raise VmNotFound(moid=moid)
    return _machine(moid, properties)


async def read_tagged(session: Session, task: str) -> tuple[VirtualMachine, ...]:
    """VMs that an attempt of this task made."""
    machines = (await read_inventory(session)).virtual_machines
    return tuple(vm for vm in machines if vm.task_tag is not None and vm.task_tag.rpartition(".")[0] == task)


async def host_names(session: Session) -> dict[str, str]:
    """Name of each ESXi host → its moid."""
    found = await read_all(session, {vim.HostSystem: ("name",)})
    return {properties["name"]: moid for moid, properties in found[vim.HostSystem].items() if "name" in properties}


def _is_readable(properties: dict[str, Any]) -> bool:
    return "config.hardware.device" in properties and "runtime.powerState" in properties


def _machine(moid: str, properties: dict[str, Any]) -> VirtualMachine:
    tree = properties.get("snapshot")
    extra = {option.key: option.value for option in properties.get("config.extraConfig") or ()}
    devices = properties["config.hardware.device"]
    disks = disks_of(devices)
    return VirtualMachine(
        moid=moid,
        name=properties["name"],
        uuid=properties.get("config.uuid"),
        instance_uuid=properties.get("config.instanceUuid"),
        power_state=_POWER[str(properties["runtime.powerState"])],
        guest_os=properties.get("config.guestFullName"),
        is_template=bool(properties.get("config.template")),
        encrypted=properties.get("config.keyId") is not None or any(disk.encrypted for disk in disks),
        hardware_version=_hardware_version(properties.get("config.version")),
        change_tracking_supported=bool(properties.get("capability.changeTrackingSupported")),
        change_tracking_enabled=bool(properties.get("config.changeTrackingEnabled")),
        consolidation_needed=bool(properties.get("runtime.consolidationNeeded")),
        snapshots=flattened(tree.rootSnapshotList if tree else []),
        current_snapshot=moid_of(tree.currentSnapshot) if tree and tree.currentSnapshot else None,
        disks=disks,
        task_tag=str(extra[TAG]) if extra.get(TAG) else None,
    )


def _hardware_version(text: str | None) -> int:
    digits = (text or "").rpartition("-")[2]
    return int(digits) if digits.isdigit() else 0


def flattened(nodes: Any, parent: str | None = None) -> tuple[SnapshotRef, ...]:
    """A snapshot tree as a list, parents before children."""
    refs: list[SnapshotRef] = []
    for node in nodes or ():
        moref = moid_of(node.snapshot)
        refs.append(SnapshotRef(moref, node.name, node.description or "", node.createTime, parent))
        refs.extend(flattened(node.childSnapshotList, moref))
    return tuple(refs)


def _datastore(moid: str, properties: dict[str, Any]) -> Datastore:
    return Datastore(
        moid=moid,
        name=properties.get("summary.name", moid),
        type=properties.get("summary.type", ""),
        capacity_bytes=properties.get("summary.capacity", 0),
        free_bytes=properties.get("summary.freeSpace", 0),
        accessible=bool(properties.get("summary.accessible")),
    )
