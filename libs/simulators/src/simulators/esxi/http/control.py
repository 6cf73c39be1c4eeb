"""`/_sim/`: what a test or demo may do to the simulated host, on a plain HTTP port of its own."""

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.esxi.disks.layers import Disk, Layer
from simulators.esxi.disks.sparse import SparseFile
from simulators.esxi.model import operations
from simulators.esxi.model.guest import write_fraction
from simulators.esxi.model.host import EsxHost
from simulators.esxi.model.vm import POWERED_OFF, POWERED_ON, SUSPENDED, DiskDevice, Vm
from simulators.esxi.vmodl import MethodFault

LARGEST_READ = 64 << 20
COPY_STEP = 4 << 20


class UnknownError(LookupError):
    """No such VM, disk or snapshot."""


class Control:
    """Handlers of the control plane."""

    def __init__(self, host: EsxHost) -> None:
        self._host = host
        self._copies: dict[str, SparseFile] = {}

    def routes(self) -> list[Route]:
        return [
            Route("/_sim/faults", self.faults, methods=["GET", "PUT"]),
            Route("/_sim/requests", self.requests, methods=["GET", "DELETE"]),
            Route("/_sim/recorded", self.recorded),
            Route("/_sim/sessions/expire", self.expire, methods=["POST"]),
            Route("/_sim/leases", self.leases),
            Route("/_sim/vms", self.vms),
            Route("/_sim/vms/{moid}/write", self.write, methods=["POST"]),
            Route("/_sim/vms/{moid}/guest", self.guest, methods=["POST"]),
            Route("/_sim/vms/{moid}/power", self.power, methods=["POST"]),
            Route("/_sim/vms/{moid}/disks/{key:int}/sha256", self.sha256),
            Route("/_sim/vms/{moid}/disks/{key:int}/bytes", self.bytes, methods=["GET", "PUT"]),
            Route("/_sim/vms/{moid}/disks/{key:int}/copies/{name}", self.copy, methods=["PUT"]),
            Route("/_sim/copies/{name}/bytes", self.copied_bytes),
        ]

    def _vm(self, request: Request) -> Vm:
        vm = self._host.vms.get(request.path_params["moid"])
        if vm is None:
            raise UnknownError("no such VM")
        return vm

    def _view(self, request: Request) -> tuple[DiskDevice, Layer | None, int]:
        vm, key = self._vm(request), request.path_params["key"]
        wanted = request.query_params.get("snapshot")
        if wanted is not None:
            snapshot = vm.snapshot(wanted)
            frozen = snapshot.disks.get(key) if snapshot else None
            if frozen is None:
                raise UnknownError("no such snapshot, or no such disk in it")
            return frozen.device, frozen.layer, frozen.capacity
        device = vm.disk(key)
        if device is None:
            raise UnknownError("no such disk")
        return device, None, device.disk.capacity

    async def faults(self, request: Request) -> Response:
        if request.method == "PUT":
            try:
                self._host.faults.replace(await request.json())
            except (ValueError, TypeError) as error:
                return JSONResponse({"error": str(error)}, 422)
        return JSONResponse({"rules": [vars(rule) for rule in self._host.faults.rules]})

    async def requests(self, request: Request) -> Response:
        if request.method == "DELETE":
            self._host.log.entries.clear()
            return Response(status_code=204)
        name = request.query_params.get("name")
        return JSONResponse({"results": [e for e in self._host.log.entries if name is None or e["name"] == name]})

    async def recorded(self, request: Request) -> Response:
        """Digests by snapshot; `?name=` or `?snapshot=` for some. Asking computes those not yet known."""
        query = request.query_params
        found = [
            record
            for record in self._host.records.entries
            if query.get("name", record.name) == record.name
            and query.get("snapshot", record.snapshot) == record.snapshot
        ]
        for record in found:
            await record.settle()
        return JSONResponse({"results": [record.shown() for record in found]})

    async def expire(self, _: Request) -> Response:
        count = self._host.sessions.expire_all()
        self._host.changed()
        return JSONResponse({"expired": count})

    async def leases(self, _: Request) -> Response:
        shown = [
            {
                "moid": lease.moid, "kind": lease.kind, "state": lease.state, "vm": lease.vm.moid,
                "percent": lease.percent,
                "streamed_bytes": sum(device.streamed for device in lease.devices),
            }
            for lease in self._host.leases.values()
        ]  # fmt: skip
        return JSONResponse({"results": shown})

    async def vms(self, _: Request) -> Response:
        return JSONResponse({"results": [_shown(vm) for vm in self._host.vms.values()]})

    async def write(self, request: Request) -> Response:
        """The guest writes `{fraction, seed, files?, disk_key?}` of its used data, scattered over it."""
        vm, wanted = self._vm(request), await request.json()
        fraction, seed = float(wanted["fraction"]), int(wanted.get("seed", 0))
        if not 0 < fraction <= 1:
            return JSONResponse({"error": "fraction is between 0 and 1"}, 422)
        keys = [int(wanted["disk_key"])] if "disk_key" in wanted else [device.key for device in vm.disks]
        disks = [device.disk for device in vm.disks if device.key in keys]
        files = bool(wanted.get("files", True))
        done = await asyncio.to_thread(lambda: [write_fraction(disk, fraction, seed, files=files) for disk in disks])
        return JSONResponse(
            {"bytes_written": sum(d.bytes_written for d in done), "extents": sum(d.extents for d in done)}
        )

    async def guest(self, request: Request) -> Response:
        """The guest writes by itself at `{write_rate_mib_s}`, until null."""
        vm, wanted = self._vm(request), await request.json()
        if wanted.get("write_rate_mib_s") and not vm.running:
            return JSONResponse({"error": "the VM is not running"}, 409)
        vm.write_rate = wanted.get("write_rate_mib_s")
        return JSONResponse({"write_rate_mib_s": vm.write_rate})

    async def power(self, request: Request) -> Response:
        """`{state: on|off|suspended}`, with the effects and the refusals of the real call."""
        vm, state = self._vm(request), (await request.json()).get("state")
        wanted = {"on": POWERED_ON, "off": POWERED_OFF, "suspended": SUSPENDED}.get(state, state)
        if wanted not in (POWERED_ON, POWERED_OFF, SUSPENDED):
            return JSONResponse({"error": "state is on, off or suspended"}, 422)
        try:
            if wanted == POWERED_ON and not vm.running:
                operations.power_on(self._host, vm)
            elif wanted != vm.power:
                operations.power_off(self._host, vm, state=wanted)
        except MethodFault as error:
            return JSONResponse({"error": error.msg}, 409)
        return JSONResponse({"power_state": vm.power})

    async def sha256(self, request: Request) -> Response:
        device, layer, capacity = self._view(request)
        digest = await asyncio.to_thread(device.disk.sha256, layer)
        return JSONResponse({"sha256": digest, "capacity_bytes": capacity})

    async def bytes(self, request: Request) -> Response:
        """GET reads `?offset&length&snapshot`; PUT is a guest's write at `?offset`."""
        device, layer, capacity = self._view(request)
        offset = int(request.query_params.get("offset", "0"))
        if request.method == "PUT":
            await asyncio.to_thread(device.disk.write, offset, await request.body())
            return Response(status_code=204)
        length = int(request.query_params.get("length", str(min(LARGEST_READ, capacity - offset))))
        if not 0 <= offset <= offset + length <= capacity or length > LARGEST_READ:
            return JSONResponse({"error": "outside the disk, or more than 64 MiB"}, 416)
        data = await asyncio.to_thread(device.disk.read, offset, length, layer)
        return Response(bytes(data), media_type="application/octet-stream")

    async def copy(self, request: Request) -> Response:
        """Keep what the disk holds now (or in `?snapshot=`) under a name, to compare with byte by byte later."""
        device, layer, capacity = self._view(request)
        name = request.path_params["name"]
        if name in self._copies or not name.isalnum():
            return JSONResponse({"error": "a name that is taken, or not only letters and digits"}, 409)
        copy = SparseFile(self._host.spec.folder / f"copy-{name}.img", capacity)
        self._copies[name] = copy
        await asyncio.to_thread(copy_data, device.disk, layer, copy)
        return JSONResponse({"name": name, "capacity_bytes": capacity}, 201)

    async def copied_bytes(self, request: Request) -> Response:
        """`?offset&length` of a copy."""
        copy = self._copies.get(request.path_params["name"])
        if copy is None:
            raise UnknownError("no such copy")
        offset, length = int(request.query_params["offset"]), int(request.query_params["length"])
        if not 0 <= offset <= offset + length <= copy.capacity or length > LARGEST_READ:
            return JSONResponse({"error": "outside the disk, or more than 64 MiB"}, 416)
        data = await asyncio.to_thread(copy.pread, offset, length)
        return Response(bytes(data), media_type="application/octet-stream")


def copy_data(disk: Disk, layer: Layer | None, target: SparseFile) -> None:
    """Copy what a view of a disk holds; what was never written stays a hole."""
    for start, length in disk.allocated(layer).ranges(0, target.capacity):
        for offset in range(start, start + length, COPY_STEP):
            target.pwrite(offset, disk.read(offset, min(COPY_STEP, start + length - offset), layer))


def _shown(vm: Vm) -> dict[str, Any]:
    return {
        "moid": vm.moid,
        "name": vm.name,
        "power_state": vm.power,
        "uuid": vm.uuid,
        "instance_uuid": vm.instance_uuid,
        "cbt": vm.cbt,
        "consolidation_needed": vm.consolidation_needed,
        "write_rate_mib_s": vm.write_rate,
        "snapshots": [{"moid": s.moid, "name": s.name, "created_at": s.created_at.isoformat()} for s in vm.snapshots()],
        "disks": [
            {
                "key": device.key,
                "label": device.label,
                "uuid": device.disk.uuid,
                "capacity_bytes": device.disk.capacity,
                "allocated_bytes": device.disk.allocated_bytes(),
                "used_bytes": sum(length for _, length in device.disk.data_map),
                "layers": len(device.disk.layers),
                "change_id": device.disk.tracker.change_id,
            }
            for device in vm.disks
        ],
    }
