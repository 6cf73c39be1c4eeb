"""Datastore files by path: the descriptors and extents of VMs, and whatever else lies in a VM's directory.

Not here: HTTP (`folder`).
"""

import posixpath
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from simulators.esxi.disks.layers import Disk, Layer
from simulators.esxi.model.host import EsxHost
from simulators.esxi.model.vm import Vm
from simulators.esxi.vmodl import fault, vim


@dataclass(frozen=True)
class Entry:
    """A name in a datastore folder. `layer` is set for a disk's extent, `text` for a descriptor, else `path`."""

    name: str
    size: int
    modified: datetime
    is_folder: bool = False
    locked: bool = False
    path: Path | None = None
    disk: Disk | None = None
    layer: Layer | None = None
    text: bytes | None = None

    @property
    def suffix(self) -> str:
        return posixpath.splitext(self.name)[1]


def split_path(text: str) -> tuple[str, str]:
    """`[store] a/b` to its parts.

    Raises:
        vim.fault.InvalidDatastorePath: not of this form, or it climbs out.
    """
    store, bracket, path = text.partition("]")
    clean = posixpath.normpath(path.strip()) if path.strip() else ""
    if not text.startswith("[") or not bracket or clean.startswith(("..", "/")):
        raise fault(vim.fault.InvalidDatastorePath, f"Invalid datastore path '{text}'.", datastorePath=text)
    return store[1:], "" if clean == "." else clean


def descriptor(disk: Disk, layer: Layer) -> bytes:
    """The .vmdk text of one layer."""
    sectors = layer.capacity // 512
    kind, access = ("vmfs", "VMFS") if layer.parent is None else ("seSparse", "SESPARSE")
    lines = [
        "# Disk DescriptorFile", "version=3" if disk.tracker.requested else "version=1", 'encoding="UTF-8"',
        f"CID={_content_id(layer):08x}",
        f"parentCID={_content_id(layer.parent) if layer.parent else 0xFFFFFFFF:08x}", f'createType="{kind}"',
    ]  # fmt: skip
    if layer.parent is not None:
        lines.append(f'parentFileNameHint="{layer.parent.name}"')
    lines += ["", "# Extent description", f'RW {sectors} {access} "{layer.file.path.name}"', ""]
    if disk.tracker.requested:
        lines += ["# Change Tracking File", f'changeTrackPath="{layer.name.removesuffix(".vmdk")}-ctk.vmdk"', ""]
    pairs = [disk.uuid.replace("-", "")[at : at + 2] for at in range(0, 32, 2)]
    lines += ["# The Disk Data Base", "#DDB", "", 'ddb.adapterType = "lsilogic"']
    lines += [f'ddb.uuid = "{" ".join(pairs[:8])}-{" ".join(pairs[8:])}"', 'ddb.virtualHWVersion = "19"']
    if disk.thin and layer.parent is None:
        lines.append('ddb.thinProvisioned = "1"')
    return ("\n".join(lines) + "\n").encode()


def _content_id(layer: Layer) -> int:
    return zlib.crc32(layer.name.encode()) & 0xFFFFFFFE


def _vm_entries(vm: Vm) -> Iterator[Entry]:
    now = datetime.now(UTC)
    for disk in vm.all_disks():
        for layer in disk.layers:
            text = descriptor(disk, layer)
            yield Entry(layer.name, len(text), now, disk=disk, layer=None, text=text)
            yield Entry(layer.file.path.name, layer.capacity, now, locked=vm.running, disk=disk, layer=layer)
            if disk.tracker.requested:
                name = layer.name.removesuffix(".vmdk") + "-ctk.vmdk"
                yield Entry(name, 65536, now, locked=vm.running, disk=disk, text=b"\0" * 65536)
    if vm.running:
        yield Entry(f"{vm.directory}-{vm.uuid[:8]}.vswp", vm.memory_mb << 20, now, locked=True, text=b"")


def _folder_of(host: EsxHost, store: str, directory: str) -> Path:
    if store not in host.spec.datastores:
        raise fault(vim.fault.FileNotFound, f"Datastore '{store}' not found", file=f"[{store}] {directory}")
    folder = host.datastore_folder(store) / directory
    if not folder.is_dir():
        raise fault(vim.fault.FileNotFound, f"File [{store}] {directory} was not found", file=f"[{store}] {directory}")
    return folder


def listing(host: EsxHost, store: str, directory: str) -> list[Entry]:
    """What a folder holds, by name.

    Raises:
        vim.fault.FileNotFound: no such folder.
    """
    folder = _folder_of(host, store, directory)
    found = {}
    for item in folder.iterdir():
        if item.name.startswith(".fill-"):
            continue
        facts = item.stat()
        modified = datetime.fromtimestamp(facts.st_mtime, UTC)
        found[item.name] = Entry(item.name, facts.st_size, modified, is_folder=item.is_dir(), path=item)
    for vm in host.registered_and_not():
        if vm.datastore == store and vm.directory == directory:
            found.update({entry.name: entry for entry in _vm_entries(vm)})
    return [found[name] for name in sorted(found)]


def lookup(host: EsxHost, store: str, path: str) -> Entry | None:
    """One file, None if there is none."""
    directory, _, name = path.rpartition("/")
    try:
        entries = listing(host, store, directory)
    except vim.fault.FileNotFound:
        return None
    return next((entry for entry in entries if entry.name == name), None)


def search(
    host: EsxHost, store: str, directory: str, patterns: list[str], *, recursive: bool
) -> list[tuple[str, list[Entry]]]:
    """(folder, matching entries) of a folder and, if asked, of all below."""
    entries = listing(host, store, directory)
    hidden = [entry for entry in entries if entry.suffix == ".vmdk" and entry.layer is not None]
    shown = [e for e in entries if e not in hidden and any(fnmatch(e.name, pattern) for pattern in patterns)]
    found = [(directory + "/" if directory else "", shown)]
    if recursive:
        for entry in entries:
            if entry.is_folder:
                found += search(host, store, posixpath.join(directory, entry.name), patterns, recursive=True)
    return found


def make_directory(host: EsxHost, store: str, directory: str, *, parents: bool) -> None:
    parent, _, name = directory.rpartition("/")
    if parents:
        (host.datastore_folder(store) / directory).mkdir(parents=True, exist_ok=True)
        return
    target = _folder_of(host, store, parent) / name
    if target.exists():
        raise fault(vim.fault.FileAlreadyExists, f"The folder '{name}' exists", file=f"[{store}] {directory}")
    target.mkdir()


def delete(host: EsxHost, store: str, path: str) -> None:
    """Delete a file or folder that no VM uses.

    Raises:
        vim.fault.FileNotFound, vim.fault.FileLocked: not there, or in use.
    """
    entry = lookup(host, store, path)
    name: Any = f"[{store}] {path}"
    if entry is None:
        raise fault(vim.fault.FileNotFound, f"File {name} was not found", file=name)
    used = any(vm.directory == path.split("/", maxsplit=1)[0] and vm.datastore == store for vm in host.vms.values())
    if entry.disk is not None or entry.locked or (used and entry.is_folder):
        raise fault(vim.fault.FileLocked, f"Unable to access file {name} since it is locked", file=name)
    assert entry.path is not None
    if entry.is_folder:
        shutil.rmtree(entry.path)
    else:
        entry.path.unlink()
