"""A VM's configuration read into our own document, and written again as a specification for a new VM."""

from collections.abc import Mapping
from typing import Any

from backup_engine.adapters.vsphere.devices import disks_of, label_of, of_type, type_name
from backup_engine.adapters.vsphere.inventory import TAG
from backup_engine.adapters.vsphere.session import Session, read_all, read_properties
from backup_engine.adapters.vsphere.vmodl import moid_of, vim
from backup_engine.domain.machine_configuration import ConfiguredDisk, Controller, MachineConfiguration, NetworkCard
from backup_engine.errors.hypervisor import VmNotFound
from backup_engine.ports.hypervisor import ImportRequest

_device: Any = vim.vm.device
_PATHS = (
    "name",
    "config.guestId",
    "config.version",
    "config.uuid",
    "config.instanceUuid",
    "config.annotation",
    "config.firmware",
    "config.bootOptions",
    "config.extraConfig",
    "config.hardware.numCPU",
    "config.hardware.numCoresPerSocket",
    "config.hardware.memoryMB",
    "config.hardware.device",
)
_KEPT_EXTRA = ("guestinfo.", "disk.EnableUUID", "svga.", "mce.", "hpet", "ethernet", "pciHole.")
_LEFT_EXTRA = ("pciSlotNumber", "generatedAddress")
"""Host state among what would otherwise be kept."""
_LEFT_OUT = (
    "VirtualTPM",
    "VirtualPCIPassthrough",
    "VirtualSCSIPassthrough",
    "VirtualUSB",
    "VirtualSerialPort",
    "VirtualParallelPort",
    "VirtualSriovEthernetCard",
)
_BUILT_IN = (_device.VirtualIDEController, _device.VirtualPCIController, _device.VirtualPS2Controller)
"""Every VM has these; adding one is refused."""


async def read_configuration(session: Session, moid: str) -> MachineConfiguration:
    """What makes the VM again. Raises VmNotFound."""
    properties = (await read_properties(session, vim.VirtualMachine, [moid], _PATHS)).get(moid)
    if properties is None or "config.hardware.device" not in properties:
        raise VmNotFound(moid=moid)
    devices = properties["config.hardware.device"]
    boot = properties.get("config.bootOptions")
    return MachineConfiguration(
        name=properties["name"],
        guest_id=properties.get("config.guestId", "otherGuest64"),
        hardware_version=properties.get("config.version", ""),
        cpus=properties.get("config.hardware.numCPU", 1),
        cores_per_socket=properties.get("config.hardware.numCoresPerSocket") or 1,
        memory_mib=properties.get("config.hardware.memoryMB", 1024),
        firmware=properties.get("config.firmware") or "bios",
        secure_boot=bool(boot and boot.efiSecureBootEnabled),
        uuid=properties.get("config.uuid"),
        instance_uuid=properties.get("config.instanceUuid"),
        annotation=properties.get("config.annotation") or "",
        controllers=_controllers(devices),
        disks=_disks(devices),
        cards=_cards(devices, await _port_groups(session, devices)),
        extra=_extra(properties.get("config.extraConfig") or ()),
        not_restorable=tuple(label_of(device) for device in devices if _is_left_out(device)),
    )


def _controllers(devices: Any) -> tuple[Controller, ...]:
    used = {disk.controllerKey for disk in of_type(devices, _device.VirtualDisk)}
    return tuple(
        Controller(device.key, type_name(device), device.busNumber, getattr(device, "sharedBus", None))
        for device in of_type(devices, _device.VirtualController)
        if device.key in used
    )


def _disks(devices: Any) -> tuple[ConfiguredDisk, ...]:
    return tuple(
        ConfiguredDisk(
            key=disk.key,
            label=disk.label,
            controller_key=disk.address.controller_key,
            unit=disk.address.unit,
            capacity_bytes=disk.capacity_bytes,
            uuid=disk.uuid,
            mode=disk.mode,
            thin=disk.thin,
            datastore=disk.file[1:].partition("]")[0] if disk.file.startswith("[") else None,
        )
        # What no snapshot holds, a restore cannot fill.
        for disk in disks_of(devices)
        if not disk.independent and not disk.is_rdm
    )


def _cards(devices: Any, port_groups: Mapping[str, str]) -> tuple[NetworkCard, ...]:
    cards = []
    for device in of_type(devices, _device.VirtualEthernetCard):
        port = getattr(device.backing, "port", None)
        named = port_groups.get(port.portgroupKey) if port is not None else getattr(device.backing, "deviceName", None)
        start = device.connectable.startConnected if device.connectable is not None else True
        cards.append(NetworkCard(device.key, type_name(device), named, device.macAddress, bool(start)))
    return tuple(cards)


async def _port_groups(session: Session, devices: Any) -> dict[str, str]:
    """Key → name of distributed port groups, asked only when a card is on one."""
    cards = of_type(devices, _device.VirtualEthernetCard)
    if not any(getattr(card.backing, "port", None) is not None for card in cards):
        return {}
    kind = vim.dvs.DistributedVirtualPortgroup
    found = (await read_all(session, {kind: ("name", "key")}))[kind]
    return {entry["key"]: entry["name"] for entry in found.values()}


def _extra(options: Any) -> dict[str, str]:
    return {
        option.key: str(option.value)
        for option in options
        if option.key.startswith(_KEPT_EXTRA) and not option.key.endswith(_LEFT_EXTRA)
    }


def _is_left_out(device: Any) -> bool:
    name = type_name(device)
    if name.startswith("VirtualUSB") and name.endswith("Controller"):
        return False
    return name.startswith(_LEFT_OUT) or (
        isinstance(device, _device.VirtualDisk) and any(disk.is_rdm or disk.independent for disk in disks_of([device]))
    )


def specification(request: ImportRequest, datastore: str, networks: Mapping[str, Any]) -> Any:
    """The VM to be made: same devices at the same places, new identity.

    Args:
        request: what was asked for.
        datastore: name of where it goes.
        networks: source network name → backing for a card on the target.
    """
    source = request.configuration
    spec = vim.vm.ConfigSpec(
        name=request.name,
        guestId=source.guest_id,
        version=source.hardware_version or None,
        annotation=source.annotation,
        numCPUs=source.cpus,
        numCoresPerSocket=source.cores_per_socket,
        memoryMB=source.memory_mib,
        firmware=source.firmware,
        files=vim.vm.FileInfo(vmPathName=f"[{datastore}]"),
        extraConfig=[vim.option.OptionValue(key=key, value=value) for key, value in source.extra.items()],
        deviceChange=[
            *(_added(_controller(one)) for one in source.controllers if not _is_built_in(one)),
            *(_added(_disk(one, datastore, request.thin), creates=True) for one in source.disks),
            *(_added(_card(one, networks, keep_mac=request.keep_mac)) for one in source.cards if one.network),
        ],
    )
    spec.extraConfig.append(vim.option.OptionValue(key=TAG, value=request.tag))
    if source.firmware == "efi":
        spec.bootOptions = vim.vm.BootOptions(efiSecureBootEnabled=source.secure_boot)
    return spec


def _is_built_in(controller: Controller) -> bool:
    return issubclass(getattr(_device, controller.type), _BUILT_IN)


def _added(device: Any, *, creates: bool = False) -> Any:
    return _device.VirtualDeviceSpec(operation="add", fileOperation="create" if creates else None, device=device)


def _controller(controller: Controller) -> Any:
    made = getattr(_device, controller.type)(key=controller.key, busNumber=controller.bus)
    if isinstance(made, _device.VirtualSCSIController):
        made.sharedBus = controller.shared_bus or "noSharing"
    return made


def _disk(disk: ConfiguredDisk, datastore: str, thin: bool | None) -> Any:
    return _device.VirtualDisk(
        key=disk.key,
        controllerKey=disk.controller_key,
        unitNumber=disk.unit,
        capacityInKB=disk.capacity_bytes // 1024,
        capacityInBytes=disk.capacity_bytes,
        backing=_device.VirtualDisk.FlatVer2BackingInfo(
            fileName=f"[{datastore}]",
            diskMode=disk.mode,
            thinProvisioned=disk.thin if thin is None else thin,
            uuid=disk.uuid,
        ),
    )


def _card(card: NetworkCard, networks: Mapping[str, Any], *, keep_mac: bool) -> Any:
    return getattr(_device, card.type)(
        key=card.key,
        backing=networks[card.network or ""],
        addressType="manual" if keep_mac and card.mac else "generated",
        macAddress=card.mac if keep_mac else None,
        connectable=_device.VirtualDevice.ConnectInfo(
            startConnected=card.start_connected, allowGuestControl=True, connected=False
        ),
    )


async def network_backings(session: Session) -> dict[str, Any]:
    """Name of each network → backing for a card on it; a distributed port group wins over a plain network."""
    group = vim.dvs.DistributedVirtualPortgroup
    found = await read_all(session, {vim.Network: ("name",), group: ("name", "key", "config.distributedVirtualSwitch")})
    backings: dict[str, Any] = {}
    for kind, objects in sorted(found.items(), key=lambda entry: issubclass(entry[0], group)):
        for moid, entry in objects.items():
            if issubclass(kind, group):
                backings[entry["name"]] = await _distributed(session, entry)
            else:
                backings[entry["name"]] = _device.VirtualEthernetCard.NetworkBackingInfo(
                    deviceName=entry["name"], network=session.managed(kind, moid)
                )
    return backings


async def _distributed(session: Session, group: dict[str, Any]) -> Any:
    switch = group["config.distributedVirtualSwitch"]
    moid = moid_of(switch)
    uuid = (await read_properties(session, type(switch), [moid], ["uuid"]))[moid]["uuid"]
    port = vim.dvs.PortConnection(portgroupKey=group["key"], switchUuid=uuid)
    return _device.VirtualEthernetCard.DistributedVirtualPortBackingInfo(port=port)
