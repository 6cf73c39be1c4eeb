"""What the gateway costs: latency over calling the service itself, and its rate against nginx before the same service.

The service is tenancy with its database, asked who the caller is. Called directly, or through nginx, it gets an
internal token that was signed beforehand; the gateway checks the access token and signs one for each request.
"""

import asyncio
import os
import secrets
import statistics
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from uuid import UUID

from common.auth.internal_token import Claims, InternalTokenSigner, RequestBinding

from devstack.bench import peers
from devstack.bench.figures import GATEWAY_ADDED, GATEWAY_VS_NGINX
from devstack.bench.load import CONNECTIONS, Load, load
from devstack.bench.measuring import Say, Sizes, interleaved
from devstack.bench.report import Bar, missing
from devstack.bench.running import Running, cpu_seconds, running
from devstack.customer import MTN_MOMO, Customer, claims_of
from devstack.servers.ports import free_port
from devstack.servers.processes import wait_until

PATH = "/api/auth/user/"
PART_OF_SATURATION = 0.25
"""How much of what the gateway can do latency is measured at. Back to back, 16 connections are a queue before two
processors, and a latency is that queue's length by Little's law: 16 over the rate, which ``gateway_vs_nginx`` tells."""
PACED_SECONDS = 6.0
"""How long a paced measurement takes, at the design's number of requests."""

NGINX = """
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log {folder}/access.log;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000;
  upstream service {{ server {service}; keepalive 64; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class _Ways:
    """The same question by each way, asked so many times."""

    stack: Running
    access_token: str
    requests: int

    async def through_gateway(self, every: float = 0.0) -> Load:
        told = {"authorization": f"Bearer {self.access_token}"}
        return await load(self.stack.gateway + PATH, told, self.requests, every=every)

    async def direct(self, address: str, every: float = 0.0) -> Load:
        """Ask the service, or a proxy that passes everything on to it."""
        return await load(address + PATH, self._internal(), self.requests, every=every)

    def _internal(self) -> dict[str, str]:
        """Return the fields that the gateway would send; such a token lasts 60 s, so each measurement has its own."""
        about = claims_of(self.access_token)
        claims = Claims(
            UUID(about["sub"]), UUID(about["tenant"]), frozenset(about["roles"]), session_id=UUID(about["sid"])
        )
        signer = InternalTokenSigner(self.stack.secrets["gateway_key"])
        token = signer.sign("tenancy", claims, RequestBinding("GET", PATH, "0"))
        return {"authorization": f"Bearer {token}", "x-tenant-id": about["tenant"]}


def measure(sizes: Sizes, say: Say) -> list[Bar]:
    """Start a stack, sign a customer in, and ask by every way in turn."""
    say("starting a stack")
    with running() as stack:
        return asyncio.run(_bars(stack, sizes, say))


async def _bars(stack: Running, sizes: Sizes, say: Say) -> list[Bar]:
    say("a customer buys, so that the token names an organization")
    ways = _Ways(stack, await _access_token(stack), sizes.requests)
    return [await _vs_nginx(ways, sizes.pairs, say), await _added(ways, sizes.pairs, say)]


async def _access_token(stack: Running) -> str:
    async with Customer(stack.gateway, "bench@xyz.example", secrets.token_urlsafe(18)) as customer:
        await customer.register("Bench")
        await customer.log_in()
        order = await customer.order(2, "Bench")
        await customer.pay(order, MTN_MOMO)
        await customer.paid(order)
        return str((await customer.log_in())["access_token"])


async def _added(ways: _Ways, pairs: int, say: Say) -> Bar:
    service = ways.stack.address("tenancy")
    say(f"{ways.requests} requests on {CONNECTIONS} connections, through the gateway and without it, back to back")
    busy = await interleaved(ways.through_gateway, lambda: ways.direct(service), pairs)
    rate = PART_OF_SATURATION * statistics.median(gateway.rate for gateway, _ in busy)
    paced = replace(ways, requests=min(ways.requests, round(rate * PACED_SECONDS)))
    every = CONNECTIONS / rate
    say(f"{paced.requests} requests each way at {rate:.0f} a second")
    busiest, calm = await _watched(
        ways, lambda: interleaved(lambda: paced.through_gateway(every), lambda: paced.direct(service, every), pairs)
    )
    gateway, direct = (statistics.median(pair[side].p50_ms for pair in calm) for side in (0, 1))
    queued = statistics.median(left.p50_ms - right.p50_ms for left, right in busy)
    return replace(
        GATEWAY_ADDED,
        value=statistics.median(left.p50_ms - right.p50_ms for left, right in calm),
        peer=f"tenancy called directly on {CONNECTIONS} connections, {rate:.0f} requests/s both ways"
        f" ({PART_OF_SATURATION:g} of what the gateway can do here)",
        limiting_stage=busiest,
        note=f"p50 {gateway:.2f} and {direct:.2f} ms; back to back {queued:.2f} ms more, which is queueing",
    )


async def _vs_nginx(ways: _Ways, pairs: int, say: Say) -> Bar:
    program = peers.find("nginx")
    if program is None:
        return missing(GATEWAY_VS_NGINX, peers.absent("nginx"))
    with _nginx(program, ways.stack) as proxy:
        say(f"{ways.requests} requests in turn through the gateway and through nginx")
        busiest, found = await _watched(
            ways, lambda: interleaved(ways.through_gateway, lambda: ways.direct(proxy), pairs)
        )
    gateway, nginx = (statistics.median(pair[side].rate for pair in found) for side in (0, 1))
    return replace(
        GATEWAY_VS_NGINX,
        value=statistics.median(left.rate / right.rate for left, right in found),
        peer=f"{peers.version(program, '-v').removeprefix('nginx version: ')}, one worker, before the same tenancy",
        limiting_stage=busiest,
        note=f"{gateway:.0f} and {nginx:.0f} requests/s",
    )


async def _watched(
    ways: _Ways, act: Callable[[], Awaitable[list[tuple[Load, Load]]]]
) -> tuple[str, list[tuple[Load, Load]]]:
    """Return which process used most processor time meanwhile, the client that asks included."""
    pids = {name: ways.stack.pid(f"{name}-api") for name in ("gateway", "tenancy")} | {"client": os.getpid()}
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    found = await act()
    used = {name: cpu_seconds(pid) - before[name] for name, pid in pids.items()}
    return max(used, key=lambda name: used[name]), found


@contextmanager
def _nginx(program: str, stack: Running) -> Iterator[str]:
    """Run nginx before tenancy for the block; gives its address."""
    folder = stack.folder / "nginx"
    folder.mkdir()
    port = free_port()
    configuration = folder / "nginx.conf"
    # Its temporary folders lie in ours, which only we may enter.
    user = "user root;" if os.geteuid() == 0 else ""
    service = stack.address("tenancy").removeprefix("http://")
    configuration.write_text(NGINX.format(user=user, folder=folder, service=service, port=port))
    child = subprocess.Popen([program, "-c", str(configuration), "-p", str(folder)], stderr=subprocess.DEVNULL)
    try:
        if not wait_until((folder / "nginx.pid").exists, 10):
            raise RuntimeError(f"nginx did not start: {(folder / 'error.log').read_text()[-500:]}")
        yield f"http://127.0.0.1:{port}"
    finally:
        child.terminate()
        child.wait(10)
