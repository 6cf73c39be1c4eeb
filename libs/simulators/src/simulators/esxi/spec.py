"""What a simulated host is made of: settings and VMs, as given on the command line or by a caller."""

import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def parse_size(text: str) -> int:
    """Bytes from `400m`, `2GiB`, `62t`.

    Raises:
        ValueError: not a size.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", text.strip().lower())
    if found is None:
        raise ValueError(f"not a size: {text!r} (say 512m, 2g, 1.5t)")
    return int(float(found[1]) * _UNITS[found[2]])


@dataclass(frozen=True)
class DiskSpec:
    """One disk: `used` bytes of files in an ext4 behind an `mbr` or `gpt` table (0: blank)."""

    size: int
    used: int = 0
    table: str = "mbr"
    thin: bool = True


@dataclass(frozen=True)
class VmSpec:
    """One VM. The same seed and sizes give the same bytes."""

    name: str
    disks: tuple[DiskSpec, ...]
    seed: int | None = None
    running: bool = True
    tools: bool = True
    cbt: bool = False
    controller: str = "ParaVirtualSCSIController"

    @property
    def disk_seed(self) -> int:
        return zlib.crc32(self.name.encode()) if self.seed is None else self.seed

    @classmethod
    def parse(cls, text: str) -> "VmSpec":
        """From `name:size:used[:size:used ...][:gpt][:off]`.

        Raises:
            ValueError: no name, or sizes that do not come in pairs.
        """
        name, *fields = text.split(":")
        words = {word for word in fields if word in ("gpt", "mbr", "off", "thick")}
        sizes = [parse_size(word) for word in fields if word not in words]
        if not name or not sizes or len(sizes) % 2:
            raise ValueError(f"a VM is name:size:used[:size:used][:gpt][:off], not {text!r}")
        table = "gpt" if "gpt" in words else "mbr"
        pairs = zip(sizes[::2], sizes[1::2], strict=True)
        disks = tuple(DiskSpec(size, used, table, thin="thick" not in words) for size, used in pairs)
        return cls(name, disks, running="off" not in words)


@dataclass(frozen=True)
class HostSpec:
    """A host. `folder` receives its disks (those of an earlier start are deleted).

    `licence` is `enterprise` or `free` (read-only API).
    """

    folder: Path
    vms: tuple[VmSpec, ...] = ()
    username: str = "root"
    password: str = "VMware1!"
    name: str = "esxi.sim.local"
    host: str = "127.0.0.1"
    port: int = 0
    control_port: int = 0
    licence: str = "enterprise"
    datastores: tuple[str, ...] = ("datastore1",)
    lease_timeout: int = 300
    session_idle: float = 1800.0
    free_bytes: int = field(default=512 << 30)
