"""How much memory a runner takes at most: the process of a stack backs up a machine of four disks, one of 62 TB.

The machine is on a simulated host in this process, so that nothing of it counts.
"""

import asyncio
import secrets
from dataclasses import replace

import httpx
from simulators.esxi import DiskSpec, HostSpec, VmSpec, start

from devstack.bench.figures import RUNNER_PEAK
from devstack.bench.image import GIB
from devstack.bench.measuring import Say, Sizes
from devstack.bench.report import Bar
from devstack.bench.running import Running, peak_mib, running
from devstack.customer import JSON, MTN_MOMO, Customer
from devstack.demo import backups
from devstack.demo.report import Report

DISKS = 4
LARGEST = 62 << 40
"""vSphere's largest disk; this one is sparse."""
FIRST_KEY = 2000
MARKS = 256
MARK_BYTES = 64 << 10
"""What the largest disk holds, spread evenly: each mark is a chunk and a map page of its own."""
GOLD = 3


def measure(sizes: Sizes, say: Say) -> list[Bar]:
    """Start a stack and a host, back the machine up once."""
    say("starting a stack")
    with running() as stack:
        return [asyncio.run(_runner_peak_mib(stack, int(sizes.gib * GIB) // (DISKS - 1), say))]


async def _runner_peak_mib(stack: Running, used: int, say: Say) -> Bar:
    """Each of the smaller disks has ``used`` bytes of files."""
    disks = (*(DiskSpec(2 * used, used) for _ in range(DISKS - 1)), DiskSpec(LARGEST))
    folder = stack.folder / "peak"
    folder.mkdir()
    host = await start(HostSpec(folder, vms=(VmSpec("peak", disks),), password=secrets.token_urlsafe(12)))
    try:
        await _scatter(host.announced())
        say(f"backing up {DISKS} disks, one of them of {LARGEST >> 40} TB")
        idle = peak_mib(stack.pid("backup-engine-runner"))
        task = await _backed_up(stack, host.announced())
        peak = peak_mib(stack.pid("backup-engine-runner"))
    finally:
        await host.stop()
    sparse = f"one of {LARGEST >> 40} TB with {MARKS} chunks far apart"
    size = f"{DISKS} disks, {sparse}, the others with {used * (DISKS - 1) / GIB:.2f} GiB used"
    came = f"{task['bytes_read'] / GIB:.2f} GiB over {task['transport']}"
    return replace(
        RUNNER_PEAK,
        value=peak,
        peer=f"VmHWM of the runner, {size}",
        limiting_stage=task["limiting_stage"],
        note=f"{idle:.0f} MiB before the backup, which read {came}",
    )


async def _scatter(host: JSON) -> None:
    """Write to the largest disk, the last one, through the simulator's own door."""
    path = f"/_sim/vms/1/disks/{FIRST_KEY + DISKS - 1}/bytes"
    async with httpx.AsyncClient(base_url=host["control"], timeout=30, trust_env=False) as control:
        for number in range(MARKS):
            mark = secrets.token_bytes(MARK_BYTES)
            answer = await control.put(path, params={"offset": LARGEST // MARKS * number}, content=mark)
            answer.raise_for_status()


async def _backed_up(stack: Running, host: JSON) -> JSON:
    async with Customer(stack.gateway, "peak@xyz.example", secrets.token_urlsafe(18)) as customer:
        await customer.register("Peak")
        await customer.log_in()
        order = await customer.order(GOLD, "Peak")
        await customer.pay(order, MTN_MOMO)
        await customer.paid(order)
        await customer.log_in()
        report = Report()
        machine = await backups.connect(customer, report, host)
        return await backups.back_up(customer, report, machine, await backups.protect(customer, machine), "full", 0)
