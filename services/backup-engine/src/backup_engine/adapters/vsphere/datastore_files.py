"""Files of a datastore over HTTPS (`/folder`), by exact ranges."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import TypeVar
from urllib.parse import quote

import aiohttp

from backup_engine.adapters.vsphere.http_data import HttpData
from backup_engine.adapters.vsphere.session import Session, read_all, read_properties
from backup_engine.adapters.vsphere.vmodl import moid_of, vim
from backup_engine.errors.hypervisor import (
    DatastoreFileLocked,
    DatastoreFileMissing,
    DatastoreFileTooLarge,
    HostUnreachable,
    HypervisorFault,
    HypervisorLoginRefused,
    PlacementNotFound,
    RangeRefused,
)

T = TypeVar("T")

ESXI_DATACENTER = "ha-datacenter"
ATTEMPTS = 5
RETRY_SECONDS = 2.0
"""Hosts answer 503 and drop connections under load; the pause grows with each attempt."""

_FILE = re.compile(r"\[(?P<datastore>.+?)\] (?P<path>.+)")
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class FolderReader:
    """`ports.DatastoreReader` made real."""

    def __init__(self, session: Session, http: HttpData, *, retry_seconds: float = RETRY_SECONDS) -> None:
        self._session = session
        self._http = http
        self._retry_seconds = retry_seconds
        self._datacenters: dict[str, str] = {}

    async def size(self, file: str) -> int:
        """Size in bytes, from the answer to a range of one byte: hosts do not announce that they take ranges."""
        return await self._insisting(lambda: self._size(file))

    async def read(self, file: str, offset: int, length: int) -> bytes:
        """Exactly `length` bytes. Raises RangeRefused, DatastoreFileLocked, DatastoreFileMissing."""
        data, _ = await self._insisting(lambda: self._range(file, offset, length))
        return data

    async def read_whole(self, file: str, limit_bytes: int) -> bytes:
        """A small file. Raises DatastoreFileTooLarge."""
        return await self._insisting(lambda: self._whole(file, limit_bytes))

    async def _size(self, file: str) -> int:
        _, total = await self._range(file, 0, 1)
        return total

    async def _range(self, file: str, offset: int, length: int) -> tuple[bytes, int]:
        target, cookie = await self._target(file), self._session.cookie
        headers = {"Cookie": cookie, "Range": f"bytes={offset}-{offset + length - 1}"}
        async with self._http.request("GET", self._session.pinned, target, headers=headers) as answer:
            await self._judge(answer, file, cookie)
            if answer.status != 206:
                raise RangeRefused(reason=f"HTTP {answer.status} instead of 206")
            total = _checked_range(answer.headers.get("Content-Range", ""), offset, length)
            data = await self._body(answer, length)
        if len(data) != length:
            raise HostUnreachable(host=self._session.pinned.host, reason=f"{len(data)} of {length} bytes came")
        return data, total

    async def _whole(self, file: str, limit_bytes: int) -> bytes:
        target, cookie = await self._target(file), self._session.cookie
        async with self._http.request("GET", self._session.pinned, target, headers={"Cookie": cookie}) as answer:
            await self._judge(answer, file, cookie)
            if answer.status != 200:
                raise HypervisorFault(fault=f"HTTP {answer.status}", message=f"{file} was not served")
            data = await self._body(answer, limit_bytes)
        if len(data) > limit_bytes:
            raise DatastoreFileTooLarge(file=file, limit=limit_bytes)
        if answer.content_length is not None and len(data) != answer.content_length:
            raise HostUnreachable(host=self._session.pinned.host, reason="the file was cut short")
        return data

    async def _body(self, answer: aiohttp.ClientResponse, limit: int) -> bytes:
        """The body, read no further than just beyond `limit`."""
        data = bytearray()
        async for piece in self._http.pieces(answer, self._session.pinned.host):
            data += piece
            if len(data) > limit:
                break
        return bytes(data)

    async def _judge(self, answer: aiohttp.ClientResponse, file: str, cookie: str) -> None:
        """Statuses that mean the same for every request."""
        status = answer.status
        if status in (401, 403):
            await self._session.renew(cookie)
            raise _Again(HypervisorLoginRefused(host=self._session.pinned.host))
        if status == 404:
            raise DatastoreFileMissing(file=file)
        # A host that cannot lock the file says so with 500 and a text that differs between versions.
        if status in (423, 500):
            raise DatastoreFileLocked(file=file)
        if status in (429, 502, 503, 504):
            raise _Again(HypervisorFault(fault=f"HTTP {status}", message="the host is overloaded"))

    async def _insisting(self, read: Callable[[], Awaitable[T]]) -> T:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await read()
            except (_Again, HostUnreachable) as failure:
                if attempt == ATTEMPTS:
                    raise (failure.failure if isinstance(failure, _Again) else failure) from failure
                await asyncio.sleep(self._retry_seconds * attempt)
        raise AssertionError("the last attempt returns or raises")

    async def _target(self, file: str) -> str:
        """`[datastore 1] vm#1/x.vmdk` → `/folder/vm%231/x.vmdk?dcPath=…&dsName=…`, every odd sign encoded (D27)."""
        found = _FILE.fullmatch(file)
        if found is None:
            raise DatastoreFileMissing(file=file)
        datastore = found["datastore"]
        if datastore not in self._datacenters:
            self._datacenters[datastore] = await self._datacenter(datastore)
        query = f"dcPath={quote(self._datacenters[datastore], safe='')}&dsName={quote(datastore, safe='')}"
        return f"/folder/{quote(found['path'])}?{query}"

    async def _datacenter(self, datastore: str) -> str:
        """Inventory path of the datacenter that holds the datastore; a standalone host has but one."""
        if not self._session.is_vcenter:
            return ESXI_DATACENTER
        found = (await read_all(self._session, {vim.Datastore: ("name", "parent")}))[vim.Datastore]
        parents = [entry["parent"] for entry in found.values() if entry.get("name") == datastore]
        if len(parents) != 1:
            raise PlacementNotFound(what="datastore", name=datastore)
        names: list[str] = []
        node = parents[0]
        while node is not None:
            entry = (await read_properties(self._session, type(node), [moid_of(node)], ["name", "parent"]))[
                moid_of(node)
            ]
            if names or isinstance(node, vim.Datacenter):
                names.append(entry["name"])
            node = entry.get("parent")
        # The root folder has no place in the path.
        return "/".join(reversed(names[:-1]))


class _Again(Exception):
    """Worth another attempt; `failure` is what to raise when there is none left."""

    def __init__(self, failure: Exception) -> None:
        super().__init__(str(failure))
        self.failure = failure


def _checked_range(header: str, offset: int, length: int) -> int:
    """Total size, if the answer is for exactly the range that was asked for (D36). Raises RangeRefused."""
    found = _CONTENT_RANGE.fullmatch(header)
    if found is None or (int(found[1]), int(found[2])) != (offset, offset + length - 1):
        raise RangeRefused(reason=f"asked for {offset}-{offset + length - 1}, answered «{header[:60]}»")
    if found[3] == "*":
        raise RangeRefused(reason="the answer does not say the file's size")
    return int(found[3])
