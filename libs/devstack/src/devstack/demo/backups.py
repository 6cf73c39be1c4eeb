"""Backups and restores of the demo, through the API only; what the disks held is asked of the simulator."""

import asyncio
import hashlib
import http.client
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import httpx

from devstack.customer import JSON, Customer
from devstack.demo.esxi import EsxiControl
from devstack.demo.patience import FINAL, ended
from devstack.demo.report import MIB, BackupLine, Report, RestoreLine

GOOD = FINAL - {"failed", "cancelled"}
DOWNLOAD_SECONDS = 600.0
"""Longest silence of a download."""
COMPARE_STEP = 4 * MIB
"""How much is fetched at a time while looking for the first difference."""


class JobFailed(AssertionError):
    """A job did not complete; the message is its error."""


Bytes = Callable[[int, int], Awaitable[bytes]]
"""Reads ``length`` bytes at ``offset``."""


@dataclass
class Machine:
    """The machine that is backed up."""

    id: str
    moid: str
    server_id: str
    disk_key: int
    capacity: int


@dataclass
class Wanted:
    """What a restore has to bring back: the point, the recorded hash of its disk, and the bytes behind that hash."""

    point_id: str
    sha256: str
    truth: Bytes


async def connect(customer: Customer, report: Report, host: JSON) -> Machine:
    """Add the host, test the connection, read its inventory; return its first machine."""
    fields = ("host", "port", "username", "password", "thumbprint")
    body = {name: host[name] for name in fields}
    body["hostname"] = body.pop("host")
    server = await customer.post("/api/esxi-servers/", body, expect=201)
    tested = await customer.post(f"/api/esxi-servers/{server['id']}/test_connection/")
    report.say(f"ESXi {host['host']}:{host['port']} connected: {tested['server']['connection_status']}")
    await customer.post(f"/api/esxi-servers/{server['id']}/sync_vms/")
    machines = (await customer.get("/api/virtual-machines/", server_id=server["id"]))["results"]
    machine = machines[0]
    disk = machine["disks"][0]
    report.say(f"VM «{machine['name']}» ({machine['power_state']}), disk of {disk['capacity_bytes'] / MIB:.0f} MiB")
    return Machine(machine["id"], machine["moid"], server["id"], disk["key"], disk["capacity_bytes"])


async def protect(customer: Customer, machine: Machine) -> str:
    """Make a backup configuration of one machine; return its id."""
    body = {"name": "demo", "server_id": machine.server_id, "vm_ids": [machine.id]}
    configuration = await customer.post("/api/backup-configs/", body, expect=201)
    return str(configuration["id"])


async def back_up(
    customer: Customer, report: Report, machine: Machine, configuration_id: str, name: str, allocated: int
) -> JSON:
    """Run one backup job to its end and add its line; return its task."""
    began = time.monotonic()
    job = await customer.post("/api/backup-jobs/", {"configuration_id": configuration_id}, expect=202)
    shown = -1

    def watch(current: JSON) -> None:
        nonlocal shown
        percent = int(current["tasks"][0]["progress_percent"] or 0) // 25 * 25
        if shown < percent and current["status"] == "running":
            shown = percent
            report.say(f"  {name}: {percent} %")

    done = await ended(customer, f"/api/backup-jobs/{job['id']}/", watch)
    task: JSON = done["tasks"][0]
    if done["status"] not in GOOD:
        raise JobFailed(f"{name}: {done['status']}: {task['error']}")
    line = BackupLine(
        name,
        task["mode"],
        task["transport"],
        machine.capacity,
        allocated,
        task["bytes_read"],
        task["bytes_new"],
        task["bytes_stored"],
        time.monotonic() - began,
        task["attempts"],
    )
    report.backups.append(line)
    report.say(
        f"{name}: {line.mode} over {line.transport}, read {line.read / MIB:.1f} MiB, new {line.new / MIB:.1f} MiB,"
        f" stored {line.stored / MIB:.1f} MiB in {line.seconds:.1f} s (limit: {task['limiting_stage']})"
    )
    return task | {"job_id": job["id"]}


async def first_difference(left: Bytes, right: Bytes, capacity: int) -> int | None:
    """Return the first byte at which two disks differ; ``None`` when they do not."""
    for offset in range(0, capacity, COMPARE_STEP):
        length = min(COMPARE_STEP, capacity - offset)
        one, other = await left(offset, length), await right(offset, length)
        if one != other:
            return offset + next(i for i in range(length) if one[i : i + 1] != other[i : i + 1])
    return None


async def _restored(customer: Customer, job: JSON) -> JSON:
    done = await ended(customer, f"/api/restore/jobs/{job['id']}/")
    if done["status"] not in GOOD:
        raise JobFailed(f"restore: {done['status']}: {done}")
    return done


async def restore_to_new_machine(
    customer: Customer, report: Report, control: EsxiControl, machine: Machine, wanted: Wanted
) -> None:
    """Restore a point to a new machine on the host and compare its disk with what was recorded."""
    began = time.monotonic()
    body = {"restore_point_id": wanted.point_id, "server_id": machine.server_id, "name": "web-01 restored"}
    done = await _restored(customer, await customer.post("/api/restore/vm/", body | {"power_on": False}, expect=202))
    seconds = time.monotonic() - began
    moid, key, attempts = done["moid"], machine.disk_key, done["tasks"][0]["attempts"]
    identical = await control.sha256(moid, key) == wanted.sha256
    difference = None
    if not identical:
        difference = await first_difference(partial(control.bytes_of, moid, key), wanted.truth, machine.capacity)
    _add(report, RestoreLine("point 2", f"new VM {moid}", machine.capacity, seconds, identical, difference, attempts))


async def restore_to_files(customer: Customer, report: Report, machine: Machine, wanted: Wanted) -> None:
    """Restore a point as disk files, fetch them through the gateway and compare with what was recorded."""
    began = time.monotonic()
    body = {"restore_point_id": wanted.point_id, "format": "raw"}
    job = await customer.post("/api/restore/disk/", body, expect=202)
    attempts = (await _restored(customer, job))["tasks"][0]["attempts"]
    seconds = time.monotonic() - began
    path = f"/api/restore/jobs/{job['id']}/disks/{machine.disk_key}/content"
    found, size = await asyncio.to_thread(_downloaded, customer, path)
    identical = found == wanted.sha256 and size == machine.capacity
    difference = None
    if not identical:
        difference = await first_difference(partial(_part, customer, path), wanted.truth, machine.capacity)
    _add(report, RestoreLine("point 3", "disk file", machine.capacity, seconds, identical, difference, attempts))


async def _part(customer: Customer, path: str, offset: int, length: int) -> bytes:
    wanted = {"range": f"bytes={offset}-{offset + length - 1}"}
    return (await customer.http.get(path, headers=wanted)).raise_for_status().content


def _downloaded(customer: Customer, path: str) -> tuple[str, int]:
    """Download a disk over a connection of its own and return its hash and size; blocks, so it runs in a thread."""
    gateway = customer.http.base_url
    connection = http.client.HTTPConnection(gateway.host, gateway.port, timeout=DOWNLOAD_SECONDS)
    try:
        connection.request("GET", path, headers={"authorization": customer.http.headers["authorization"]})
        answer = connection.getresponse()
        if answer.status != httpx.codes.OK:
            raise JobFailed(f"download: {answer.status} {answer.read(2000)!r}")
        digest, size = hashlib.sha256(), 0
        while block := answer.read(MIB):
            digest.update(block)
            size += len(block)
        return digest.hexdigest(), size
    finally:
        connection.close()


def _add(report: Report, line: RestoreLine) -> None:
    report.restores.append(line)
    verdict = "identical" if line.identical else f"DIFFERENT, first at byte {line.first_difference}"
    report.say(f"restore of {line.name} to {line.target}: {verdict} ({line.seconds:.1f} s)")
