"""A simulated ESXi host for real pyvmomi clients: inventory, power, snapshots with delta chains, CBT, disks as streams.

    running = await start(HostSpec(folder, vms=(VmSpec.parse("web:2g:400m"),)))

Its disks are real sparse files with a partition table and an ext4 file system. What VMware's host refuses, this one
refuses. Not simulated: vCenter, clustering, vMotion, cloning, NFC on port 902, guest operations.
"""

from simulators.esxi.runtime import EsxiSimulator, RunningEsxi, start
from simulators.esxi.spec import DiskSpec, HostSpec, VmSpec, parse_size

__all__ = ["DiskSpec", "EsxiSimulator", "HostSpec", "RunningEsxi", "VmSpec", "parse_size", "start"]
