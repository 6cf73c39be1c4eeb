"""What the gateway costs: its rate and latencies beside nginx before the same service, and beside the service itself.

The service is tenancy with its database, asked who the caller is. Called directly, or through nginx, it gets an
internal token that was signed beforehand; the gateway checks the access token and signs one for each request. The three
ways take turns, so that a drift of the machine meets all of them.
"""

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from statistics import median
from uuid import UUID

import uvloop
from common.auth.internal_token import Claims, InternalTokenSigner, RequestBinding

from devstack.bench import nginx, peers
from devstack.bench.figures import GATEWAY_ADDED, GATEWAY_P99, GATEWAY_VS_NGINX
from devstack.bench.load import CONNECTIONS, Load, load
from devstack.bench.measuring import Say, Sizes, in_turn, percentile
from devstack.bench.report import Bar, missing
from devstack.bench.running import Running, cpu_seconds, running
from devstack.customer import MTN_MOMO, Customer, claims_of

PATH = "/api/auth/user/"
PART_OF_SATURATION = 0.25
"""How much of what the gateway can do latency is measured at. Back to back, 16 connections are a queue before two
processors, and a latency is that queue's length by Little's law: 16 over the rate, which ``gateway_vs_nginx`` tells."""
PACED_SECONDS = 6.0
"""How long a paced measurement takes, at the design's number of requests."""
GATEWAY, DIRECT, NGINX = range(3)
"""The ways in the order in which they are measured; without nginx the last is not there."""

Rounds = list[list[Load]]
"""One load by each way, as often as there are pairs."""


@dataclass(frozen=True, slots=True)
class _Ways:
    """The same question by each way, asked so many times; ``every`` seconds on each connection, 0 without a pause."""

    stack: Running
    access_token: str
    proxy: str | None
    requests: int
    every: float = 0.0

    async def rounds(self, number: int) -> Rounds:
        """Ask by every way in turn."""
        ways: list[Callable[[], Awaitable[Load]]] = [
            self._through_gateway,
            lambda: self._direct(self.stack.address("tenancy")),
        ]
        if self.proxy is not None:
            ways.append(lambda: self._direct(self.proxy or ""))
        return await in_turn(ways, number)

    async def _through_gateway(self) -> Load:
        told = {"authorization": f"Bearer {self.access_token}"}
        return await load(self.stack.gateway + PATH, told, self.requests, every=self.every)

    async def _direct(self, address: str) -> Load:
        """Ask the service, or a proxy that passes everything on to it."""
        return await load(address + PATH, self._internal(), self.requests, every=self.every)

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
    program = peers.find("nginx")
    say("starting a stack")
    with running() as stack, ExitStack() as exits, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        proxy = (
            exits.enter_context(nginx.proxy(program, stack.folder / "nginx", stack.address("tenancy")))
            if program
            else None
        )
        return runner.run(_bars(stack, proxy, sizes, say))


async def _bars(stack: Running, proxy: str | None, sizes: Sizes, say: Say) -> list[Bar]:
    say("a customer buys, so that the token names an organization")
    ways = _Ways(stack, await access_token(stack), proxy, max(CONNECTIONS, sizes.requests // 2))
    say(f"{ways.requests} requests back to back on {CONNECTIONS} connections, {sizes.pairs} times each way")
    busiest, busy = await watched(stack, lambda: ways.rounds(sizes.pairs))
    rate = PART_OF_SATURATION * median(way[GATEWAY].rate for way in busy)
    paced = replace(ways, requests=min(ways.requests, round(rate * PACED_SECONDS)), every=CONNECTIONS / rate)
    say(f"{paced.requests} requests at {rate:.0f} a second")
    slowest, calm = await watched(stack, lambda: paced.rounds(sizes.pairs))
    with_peer = [vs_nginx(busy), p99_vs_nginx(calm)] if proxy else []
    absent = [] if proxy else [missing(bar, peers.absent("nginx")) for bar in (GATEWAY_VS_NGINX, GATEWAY_P99)]
    found = [replace(bar, limiting_stage=stage) for bar, stage in zip(with_peer, (busiest, slowest), strict=False)]
    return [*found, *absent, replace(added(calm, busy, rate), limiting_stage=slowest)]


async def access_token(stack: Running) -> str:
    """Return the token of a customer whose organization is provisioned."""
    async with Customer(stack.gateway, "bench@xyz.example", secrets.token_urlsafe(18)) as customer:
        await customer.register("Bench")
        await customer.log_in()
        order = await customer.order(2, "Bench")
        await customer.pay(order, MTN_MOMO)
        await customer.paid(order)
        return str((await customer.log_in())["access_token"])


def vs_nginx(busy: Rounds) -> Bar:
    """Compare rates back to back."""
    rates = [median(way[number].rate for way in busy) for number in (GATEWAY, NGINX, DIRECT)]
    return replace(
        GATEWAY_VS_NGINX,
        value=median(way[GATEWAY].rate / way[NGINX].rate for way in busy),
        peer=f"{peer()}, one worker, before the same tenancy",
        note="{:.0f} and {:.0f} requests/s, {:.0f} without either".format(*rates),
    )


def p99_vs_nginx(calm: Rounds) -> Bar:
    """Compare the 99th percentiles of all paced requests."""
    gateway, proxy, direct = (_all_ms(calm, way, 0.99) for way in (GATEWAY, NGINX, DIRECT))
    return replace(
        GATEWAY_P99,
        value=gateway / proxy,
        peer=f"{peer()}, one worker, before the same tenancy, at the same pace",
        note=f"p99 {gateway:.1f} and {proxy:.1f} ms, {direct:.1f} ms without either",
    )


def added(calm: Rounds, busy: Rounds, rate: float) -> Bar:
    """Compare medians at a pace; what is seen back to back, and what nginx adds, is said beside it."""
    beside = f", nginx {_added_ms(calm, NGINX):.2f} ms more" if len(calm[0]) > NGINX else ""
    return replace(
        GATEWAY_ADDED,
        value=_added_ms(calm, GATEWAY),
        peer=f"tenancy called directly on {CONNECTIONS} connections, {rate:.0f} requests/s both ways"
        f" ({PART_OF_SATURATION:g} of what the gateway can do here)",
        note=f"p50 {_all_ms(calm, GATEWAY, 0.5):.2f} and {_all_ms(calm, DIRECT, 0.5):.2f} ms{beside};"
        f" back to back {_added_ms(busy, GATEWAY):.2f} ms more, which is queueing",
    )


def peer() -> str:
    """Return nginx's name and version."""
    return peers.version(peers.find("nginx") or "", "-v").removeprefix("nginx version: ")


def _added_ms(rounds: Rounds, way: int) -> float:
    return median(loads[way].p50_ms - loads[DIRECT].p50_ms for loads in rounds)


def _all_ms(rounds: Rounds, way: int, part: float) -> float:
    return percentile([seconds for loads in rounds for seconds in loads[way].latencies], part) * 1000


async def watched(
    stack: Running, act: Callable[[], Awaitable[Rounds]], names: Iterable[str] = ("gateway", "tenancy")
) -> tuple[str, Rounds]:
    """Return which process used most processor time meanwhile, the client that asks included."""
    pids = {name: stack.pid(f"{name}-api") for name in names} | {"client": os.getpid()}
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    found = await act()
    used = {name: cpu_seconds(pid) - before[name] for name, pid in pids.items()}
    return max(used, key=lambda name: used[name]), found
