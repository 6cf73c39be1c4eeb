"""Plays seeds one after the other on one stack, each with customers and a simulated host of its own."""

import asyncio
import secrets
import sys
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from devstack.customer import JSON, Customer, until
from devstack.demo.esxi import EsxiControl
from devstack.demo.report import Report
from devstack.demo.run import protect_and_restore
from devstack.noise import purchases
from devstack.noise.injection import Injection, provider_faults
from devstack.noise.plan import Noise
from devstack.premises import a_host

MACHINE = "web-01:256m:64m"
TIDY_SECONDS = 60.0
"""Within it the host has nothing left that a finished job needed."""


class LeftOver(AssertionError):
    """A finished job left something on the host; the message says what."""


class Quiet(Report):
    """Keeps its lines; they are of interest only where a seed fails."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(f"{time.monotonic() - self.started:6.1f} s  {text}")


@dataclass
class Verdict:
    """What a seed came to."""

    noise: Noise
    report: Quiet = field(default_factory=Quiet)
    missed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Both purchases right, both restores identical, nothing left behind."""
        return not self.wrong


async def play_all(endpoints: dict[str, Any], seeds: Iterable[int], folder: Path) -> list[Verdict]:
    """Play every seed, also after one that failed, and print each verdict.

    Args:
        endpoints: Of the running stack.
        seeds: Which noise.
        folder: Where the simulated hosts keep their disks; each is removed after its seed.
    """
    verdicts = []
    for seed in seeds:
        verdict = await _play(endpoints, Noise.of(seed), folder)
        verdicts.append(verdict)
        sys.stdout.write(_told(verdict))
        sys.stdout.flush()
    return verdicts


async def _play(endpoints: dict[str, Any], noise: Noise, folder: Path) -> Verdict:
    verdict, began = Verdict(noise), time.monotonic()
    try:
        await _one(endpoints, verdict, folder / f"host-{noise.seed}")
    except ExceptionGroup as group:
        verdict.wrong += [f"{type(error).__name__}: {error}" for error in group.exceptions]
    except (AssertionError, LookupError, OSError, RuntimeError, TimeoutError, httpx.HTTPError) as error:
        verdict.wrong.append(f"{type(error).__name__}: {error}")
    verdict.seconds = time.monotonic() - began
    return verdict


async def _one(endpoints: dict[str, Any], verdict: Verdict, folder: Path) -> None:
    seed, gateway, password = verdict.noise.seed, endpoints["gateway"], secrets.token_urlsafe(18)
    async with AsyncExitStack() as exits:
        starting = a_host(folder, MACHINE)
        host = await asyncio.to_thread(starting.__enter__)
        exits.push_async_callback(asyncio.to_thread, starting.__exit__, None, None, None)
        first = await exits.enter_async_context(Customer(gateway, f"xyz-{seed}@noise.example", password))
        second = await exits.enter_async_context(Customer(gateway, f"abc-{seed}@noise.example", password))
        async with provider_faults(endpoints, verdict.noise) as missed, asyncio.TaskGroup() as buying:
            buying.create_task(purchases.by_mobile_money(first, endpoints, f"Entreprise XYZ {seed}"))
            buying.create_task(purchases.by_paypal(second, endpoints, f"Entreprise ABC {seed}"))
        verdict.missed += missed
        await _backups(first, verdict, host)


async def _backups(customer: Customer, verdict: Verdict, host: JSON) -> None:
    control = EsxiControl(host["control"])
    injection = Injection(verdict.noise, control)
    await protect_and_restore(customer, verdict.report, host, injection.during)
    verdict.missed += injection.missed
    for restore in verdict.report.restores:
        if not restore.identical:
            verdict.wrong.append(f"restore of {restore.name} to {restore.target} differs from what was recorded")
    await _tidy(control)


async def _tidy(control: EsxiControl) -> None:
    """Wait until there is no snapshot, no open lease and no machine but the source and the restored one."""

    async def look() -> JSON:
        machines = (await control.ask("/_sim/vms"))["results"]
        leases = (await control.ask("/_sim/leases"))["results"]
        return {
            "machines": [machine["name"] for machine in machines][2:],
            "snapshots": [snapshot["name"] for machine in machines for snapshot in machine["snapshots"]],
            "leases": [lease["moid"] for lease in leases if lease["state"] in ("initializing", "ready")],
        }

    try:
        await until(look, lambda left: not any(left.values()), seconds=TIDY_SECONDS)
    except TimeoutError as late:
        raise LeftOver(f"left on the host {late}") from None


def _told(verdict: Verdict) -> str:
    word = "ok" if verdict.good else "WRONG"
    lines = [f"seed {verdict.noise.seed}: {word} in {verdict.seconds:.1f} s: {'; '.join(verdict.noise.said)}"]
    lines += [f"    met nothing to act on: {rule}" for rule in verdict.missed]
    if not verdict.good:
        lines += [f"    WRONG: {what}" for what in verdict.wrong]
        lines += [f"      {line}" for line in verdict.report.lines]
    return "\n".join(lines) + "\n"
