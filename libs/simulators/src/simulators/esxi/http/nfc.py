"""NFC over HTTPS: disks of a lease as stream-optimised VMDKs, out (GET) and in (POST, PUT).

The URL is the permission: its lease must be ready and must be kept alive; there are no ranges and no second chance.
"""

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from simulators.esxi.disks.sparse import is_zero
from simulators.esxi.disks.streamvmdk import GRAIN_BYTES, BadStreamError, StreamReader, StreamWriter, pack_grain
from simulators.esxi.http.flow import CutError, Flow
from simulators.esxi.model.host import EsxHost
from simulators.esxi.model.leases import EXPORT, IMPORT, READY, Lease, LeaseDevice, LeaseOverError
from simulators.esxi.vmodl import fault, vmodl

BATCH_BYTES = 1 << 20
AHEAD = 4
"""Batches being compressed before the oldest is sent: what bounds the memory of a stream."""
STREAM_TYPE = "application/x-vnd.vmware-streamVmdk"
WINDOW_BYTES = 1 << 30


class Nfc:
    """The `/nfc` tree of one host."""

    def __init__(self, host: EsxHost) -> None:
        self._host = host
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="nfc")

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, request: Request) -> Response:  # noqa: PLR0911 -- one refusal after the other
        lease = self._host.leases.get(request.path_params["lease"])
        if lease is None or lease.state != READY:
            return Response("Not Found", 404)
        name = request.path_params["name"]
        device = lease.device(name)
        if request.method in ("GET", "HEAD"):
            if lease.kind != EXPORT or device is None:
                return Response("Not Found", 404)
            if request.method == "HEAD":
                return Response(None, 200, {"Content-Type": STREAM_TYPE})
            flow = Flow(self._host, request.url.path)
            return StreamingResponse(flow.through(self._export(lease, device)), 200, {"Content-Type": STREAM_TYPE})
        if lease.kind != IMPORT:
            return Response("Method Not Allowed", 405)
        if device is not None:
            return await self._import(request, lease, device)
        return await self._take_file(request, lease, name)

    # -- out ----------------------------------------------------------------------------------------------------------

    async def _export(self, lease: Lease, device: LeaseDevice) -> AsyncIterator[bytes]:
        content_id = zlib.crc32(f"{lease.moid}{device.name}".encode()) & 0xFFFFFFFE
        writer = StreamWriter(device.capacity, device.name, content_id)
        yield writer.start()
        waiting: list[Future[list[tuple[int, bytes]]]] = []
        batches = self._batches(device)
        try:
            while True:
                while len(waiting) < AHEAD and (batch := next(batches, None)) is not None:
                    waiting.append(self._pool.submit(self._pack, device, *batch))
                if not waiting:
                    break
                packed = await asyncio.wrap_future(waiting.pop(0))
                lease.check()
                out = [piece for number, data in packed for piece in writer.grain(number, data)]
                device.streamed += sum(map(len, out))
                if out:
                    yield b"".join(out)
            yield b"".join(writer.finish())
            device.complete = True
        finally:
            for left in waiting:
                left.cancel()

    @staticmethod
    def _batches(device: LeaseDevice) -> Iterator[tuple[int, int]]:
        """(offset, length) to look at: whole batches that hold allocated grains, ascending, each once."""
        disk = device.device.disk
        for window in range(0, device.capacity, WINDOW_BYTES):
            length = min(WINDOW_BYTES, device.capacity - window)
            used = disk.allocated(device.layer, offset=window, length=length)
            last = -1
            for start, count in used.ranges(window, length):
                for number in range(start // BATCH_BYTES, (start + count - 1) // BATCH_BYTES + 1):
                    if number > last:
                        last = number
                        at = number * BATCH_BYTES
                        yield at, min(BATCH_BYTES, device.capacity - at)

    @staticmethod
    def _pack(device: LeaseDevice, at: int, length: int) -> list[tuple[int, bytes]]:
        data = memoryview(device.device.disk.read(at, length, device.layer))
        packed = []
        for inner in range(0, length, GRAIN_BYTES):
            grain = data[inner : inner + GRAIN_BYTES]
            if is_zero(grain):
                continue
            whole = grain if len(grain) == GRAIN_BYTES else bytes(grain).ljust(GRAIN_BYTES, b"\0")
            packed.append(((at + inner) // GRAIN_BYTES, pack_grain((at + inner) // 512, whole)))
        return packed

    # -- in -----------------------------------------------------------------------------------------------------------

    async def _import(self, request: Request, lease: Lease, device: LeaseDevice) -> Response:
        flow, reader = Flow(self._host, request.url.path), StreamReader()
        try:
            async for chunk in request.stream():
                lease.check()
                await asyncio.get_running_loop().run_in_executor(
                    self._pool, self._store, reader, device, await flow.one(chunk)
                )
                device.streamed += len(chunk)
                flow.check_cut()
            reader.close()
        except (BadStreamError, ValueError) as error:
            lease.fail(fault(vmodl.fault.SystemError, f"Invalid disk stream: {error}", reason=str(error)))
            return Response(f"Invalid disk stream: {error}", 500)
        except (ClientDisconnect, CutError, LeaseOverError) as error:
            lease.fail(fault(vmodl.fault.SystemError, "The disk stream was interrupted", reason="NFC connection lost"))
            raise CutError("upload interrupted") from error
        finally:
            self._host.changed()
        device.complete = True
        return Response(status_code=200)

    @staticmethod
    def _store(reader: StreamReader, device: LeaseDevice, data: bytes) -> None:
        for grain in reader.feed(data):
            if reader.capacity > device.capacity:
                raise BadStreamError("the stream is larger than the disk")
            if not is_zero(grain.data):
                device.device.disk.current.file.pwrite(grain.offset, grain.data)

    async def _take_file(self, request: Request, lease: Lease, name: str) -> Response:
        if "/" in name or name.startswith(".") or request.method != "PUT":
            return Response("Not Found", 404)
        target = lease.vm.folder / name
        size = 0
        with target.open("wb") as out, contextlib.closing(out):
            async for chunk in request.stream():
                lease.check()
                out.write(chunk)
                size += len(chunk)
        lease.files[name] = size
        return Response(status_code=200)
