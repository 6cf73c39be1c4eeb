"""The part of a VM's configuration that is stored with a restore point and makes the VM again.

Plain values with a JSON form of our own, so that a point stays readable whatever library reads the host. What cannot
be made again (vTPM, pass-through devices) is named in `not_restorable`, so that a point can warn (D62).
Not here: reading it from a host and writing it to one (`adapters/vsphere/configuration.py`).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

FORMAT = 1
"""Raised when a reader of the former number would misread the JSON; additions keep it."""


@dataclass(frozen=True, slots=True)
class Controller:
    """A disk controller; `type` is vSphere's class name (`ParaVirtualSCSIController`, `VirtualAHCIController`, …)."""

    key: int
    type: str
    bus: int
    shared_bus: str | None = None


@dataclass(frozen=True, slots=True)
class ConfiguredDisk:
    """A disk with everything that must equal the source after a restore (D56)."""

    key: int
    label: str
    controller_key: int
    unit: int
    capacity_bytes: int
    uuid: str | None
    mode: str
    thin: bool
    datastore: str | None
    """Name of the datastore that held it."""


@dataclass(frozen=True, slots=True)
class NetworkCard:
    """A network card; `type` is vSphere's class name (`VirtualVmxnet3`, `VirtualE1000e`, …)."""

    key: int
    type: str
    network: str | None
    mac: str | None
    start_connected: bool = True


@dataclass(frozen=True, slots=True)
class MachineConfiguration:
    """A VM as it was when its snapshot was made."""

    name: str
    guest_id: str
    hardware_version: str
    """As vSphere writes it: `vmx-19`."""
    cpus: int
    cores_per_socket: int
    memory_mib: int
    firmware: str
    """`bios` or `efi`."""
    secure_boot: bool
    uuid: str | None
    instance_uuid: str | None
    annotation: str
    controllers: tuple[Controller, ...]
    disks: tuple[ConfiguredDisk, ...]
    cards: tuple[NetworkCard, ...]
    extra: Mapping[str, str] = field(default_factory=dict)
    """Guest settings worth keeping (`guestinfo.*`, `disk.EnableUUID`); never host state nor our own marks."""
    not_restorable: tuple[str, ...] = ()
    """Devices that a restore leaves out, by label."""

    def to_json(self) -> dict[str, Any]:
        """Only JSON types; `from_json` gives back an equal value."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "MachineConfiguration":
        """Read what `to_json` wrote, here or in a later version that added fields.

        Raises:
            ValueError: it is of a newer format, or not such a document.
        """
        if stored.get("format") != FORMAT:
            raise ValueError(f"a machine configuration of format {stored.get('format')!r}, not {FORMAT}")
        try:
            plain = {name: stored[name] for name in cls.__dataclass_fields__ if name in stored}
            plain["controllers"] = tuple(_read(Controller, c) for c in stored["controllers"])
            plain["disks"] = tuple(_read(ConfiguredDisk, d) for d in stored["disks"])
            plain["cards"] = tuple(_read(NetworkCard, c) for c in stored["cards"])
            plain["not_restorable"] = tuple(stored.get("not_restorable", ()))
            return cls(**plain)
        except (KeyError, TypeError) as error:
            raise ValueError("not a machine configuration") from error

    def disk(self, key: int) -> ConfiguredDisk:
        """The disk of that key. Raises KeyError."""
        for disk in self.disks:
            if disk.key == key:
                return disk
        raise KeyError(key)

    def controller(self, key: int) -> Controller:
        """The controller of that key. Raises KeyError."""
        for controller in self.controllers:
            if controller.key == key:
                return controller
        raise KeyError(key)


def _read(kind: type[T], stored: Mapping[str, Any]) -> T:
    known = kind.__dataclass_fields__  # type: ignore[attr-defined]  # T is one of the dataclasses above
    return kind(**{name: value for name, value in stored.items() if name in known})
