"""The gateway where no service is the brake: before one that answers everything with the same 300 bytes.

A second gateway runs with the environment of the stack's own, but for where billing is: there nginx answers. It checks
the tokens of the stack's tenancy, and everything else is on that is on in the first. The peer is one more nginx.
"""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from statistics import median

import uvloop

from devstack.bench import nginx, peers
from devstack.bench.figures import GATEWAY_VS_NGINX_STATIC
from devstack.bench.gateway import access_token, peer
from devstack.bench.load import Load, load
from devstack.bench.measuring import Say, Sizes, interleaved
from devstack.bench.report import Bar, missing
from devstack.bench.running import Running, cpu_seconds, running
from devstack.servers.ports import free_port
from devstack.servers.processes import wait_until

PATH = "/api/tenants/invoices/"
ANSWER_BYTES = 300
ANSWER = '{"results":"' + "x" * (ANSWER_BYTES - 14) + '"}'
START_SECONDS = 30.0


def measure(sizes: Sizes, say: Say) -> list[Bar]:
    """Start a stack, a gateway before the constant service, and nginx before it too; ask both in turn."""
    program = peers.find("nginx")
    if program is None:
        return [missing(GATEWAY_VS_NGINX_STATIC, peers.absent("nginx"))]
    say("starting a stack")
    with (
        running() as stack,
        nginx.constant(program, stack.folder / "service", ANSWER) as service,
        nginx.proxy(program, stack.folder / "proxy", service) as proxy,
        gateway_before(stack, service) as (pid, gateway),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return [runner.run(_compared(stack, pid, gateway, proxy, sizes, say))]


async def _compared(stack: Running, pid: int, gateway: str, proxy: str, sizes: Sizes, say: Say) -> Bar:
    token = {"authorization": f"Bearer {await access_token(stack)}"}

    async def asked(address: str) -> Load:
        found = await load(address + PATH, token, sizes.requests)
        assert found.body_bytes == ANSWER_BYTES, f"answers of {found.body_bytes} bytes"
        return found

    say(f"{sizes.requests} requests in turn through the gateway and through nginx")
    await asked(gateway)
    before = cpu_seconds(pid)
    pairs = await interleaved(lambda: asked(gateway), lambda: asked(proxy), sizes.pairs)
    used = (cpu_seconds(pid) - before) / (sizes.pairs * len(pairs[0][0].latencies))
    rates = [median(pair[side].rate for pair in pairs) for side in (0, 1)]
    return replace(
        GATEWAY_VS_NGINX_STATIC,
        value=median(ours.rate / theirs.rate for ours, theirs in pairs),
        peer=f"{peer()}, one worker, before the same constant answer of {ANSWER_BYTES} bytes by another nginx",
        limiting_stage="gateway",
        note="{:.0f} and {:.0f} requests/s; ".format(*rates) + f"{used * 1e6:.0f} µs of processor time each",
    )


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
        if (
            not wait_until(lambda: child.poll() is not None or _answers(port), START_SECONDS)
            or child.poll() is not None
        ):
            raise RuntimeError(f"the second gateway did not start: {Path(log.name).read_text()[-2000:]}")
        yield child.pid, f"http://127.0.0.1:{port}"
    finally:
        child.terminate()
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.kill(child.pid, 9)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 0.2).close()
    except OSError:
        return False
    return True
