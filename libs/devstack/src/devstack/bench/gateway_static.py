"""The gateway where no service is the brake: before one that answers everything with the same 300 bytes.

A second gateway runs with the environment of the stack's own, but for where billing is: there nginx answers. It checks
the tokens of the stack's tenancy, and everything else is on that is on in the first. The peers are one more nginx, and
a bare proxy by the same server and client as ours: what lies between ours and that is what the gateway does.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from operator import truediv
from pathlib import Path
from statistics import median

import uvloop

from devstack.bench import nginx, peers
from devstack.bench.bare_proxy import answers, bare_proxy
from devstack.bench.figures import GATEWAY_VS_BARE, GATEWAY_VS_NGINX_STATIC
from devstack.bench.gateway import access_token, peer
from devstack.bench.load import Load, load
from devstack.bench.measuring import Say, Sizes, in_turn
from devstack.bench.report import Bar, missing
from devstack.bench.running import Running, cpu_seconds, running
from devstack.servers.ports import free_port
from devstack.servers.processes import wait_until

PATH = "/api/tenants/invoices/"
ANSWER_BYTES = 300
ANSWER = '{"results":"' + "x" * (ANSWER_BYTES - 14) + '"}'
START_SECONDS = 30.0


def measure(sizes: Sizes, say: Say) -> list[Bar]:
    """Start a stack, a gateway before the constant service, a bare proxy and nginx before it too; ask them in turn."""
    program = peers.find("nginx")
    if program is None:
        return [missing(bar, peers.absent("nginx")) for bar in (GATEWAY_VS_NGINX_STATIC, GATEWAY_VS_BARE)]
    say("starting a stack")
    with (
        running() as stack,
        nginx.constant(program, stack.folder / "service", ANSWER) as service,
        nginx.proxy(program, stack.folder / "proxy", service) as proxy,
        bare_proxy(service) as bare,
        gateway_before(stack, service) as (pid, gateway),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return runner.run(_compared(stack, pid, (gateway, bare, proxy), sizes, say))


async def _compared(stack: Running, pid: int, addresses: Sequence[str], sizes: Sizes, say: Say) -> list[Bar]:
    token = {"authorization": f"Bearer {await access_token(stack)}"}

    async def asked(address: str) -> Load:
        found = await load(address + PATH, token, sizes.requests)
        assert found.body_bytes == ANSWER_BYTES, f"answers of {found.body_bytes} bytes"
        return found

    say(f"{sizes.requests} requests in turn through the gateway, a bare proxy and nginx")
    await asked(addresses[0])
    before = cpu_seconds(pid)
    rounds = await in_turn([partial(asked, address) for address in addresses], sizes.pairs)
    used = (cpu_seconds(pid) - before) / (sizes.pairs * len(rounds[0][0].latencies))
    gateway, bare, proxy = ([loads[way].rate for loads in rounds] for way in range(3))
    told = f"{median(gateway):.0f}, {median(bare):.0f} and {median(proxy):.0f} requests/s"
    return [
        replace(
            GATEWAY_VS_NGINX_STATIC,
            value=median(map(truediv, gateway, proxy)),
            peer=f"{peer()}, one worker, before the same constant answer of {ANSWER_BYTES} bytes by another nginx",
            limiting_stage="gateway",
            note=f"{told}; a bare proxy {median(map(truediv, bare, proxy)):.2f}",
        ),
        replace(
            GATEWAY_VS_BARE,
            value=median(map(truediv, gateway, bare)),
            peer="a proxy by uvicorn and aiohttp, without checks, limits, signatures, traces or logs",
            limiting_stage="gateway",
            note=f"{told}; {used * 1e6:.0f} µs of processor time each in the gateway",
        ),
    ]


@contextmanager
def gateway_before(stack: Running, service: str) -> Iterator[tuple[int, str]]:
    """Run one more gateway for the block, as the stack's own but with billing elsewhere; gives process id, address."""
    told = Path(f"/proc/{stack.pid('gateway-api')}/environ").read_text().split("\0")
    port = free_port()
    ours = {"GATEWAY_BILLING_URL": service, "GATEWAY_HTTP_PORT": str(port), "GATEWAY_OPS_PORT": "0"}
    environment = dict(entry.split("=", 1) for entry in told if "=" in entry) | ours
    log = (stack.folder / "second-gateway.log").open("wb")
    with log:
        child = subprocess.Popen(
            [sys.executable, "-m", "gateway", "api"], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        if not wait_until(lambda: child.poll() is not None or answers(port), START_SECONDS) or child.poll() is not None:
            raise RuntimeError(f"the second gateway did not start: {Path(log.name).read_text()[-2000:]}")
        yield child.pid, f"http://127.0.0.1:{port}"
    finally:
        child.terminate()
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.kill(child.pid, 9)
