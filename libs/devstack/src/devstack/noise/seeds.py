"""Plays seeds one after the other on one stack, each with customers and a simulated host of its own."""

import asyncio
import json
import secrets
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Iterable
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
from devstack.noise.store import SlowDownStore
from devstack.premises import a_host

MACHINE = "web-01:256m:64m"
TIDY_SECONDS = 180.0
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
    injected: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    traces: list[str] = field(default_factory=list)
    host_calls: list[JSON] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Both purchases right, both restores identical, nothing left behind, and every fault took effect."""
        return not self.wrong

    def judge(self) -> None:
        """Find wrong what differs after the restores, and what was to go wrong and did not."""
        for restore in self.report.restores:
            if not restore.identical:
                self.wrong.append(f"restore of {restore.name} to {restore.target} differs from what was recorded")
        for kind, count in sorted((self.noise.planned - self.injected).items()):
            self.wrong.append(f"{kind}: {count} of {self.noise.planned[kind]} did not take effect")
        if self.injected["sessions expired"] and not self.seen["logged in again"]:
            self.wrong.append("sessions expired, and nobody noticed")

    def stopped_by(self, *errors: Exception) -> None:
        """Note what ended the seed early, and where."""
        self.wrong += [f"{type(error).__name__}: {error}" for error in errors]
        self.traces += ["".join(traceback.format_exception(error)) for error in errors]

    def told(self) -> str:
        """Return the seed's line, and all that is known where it is wrong."""
        again = self.seen + Counter({"attempt begun again": self.report.further_attempts})
        line = (
            f"seed {self.noise.seed:3d}: {'ok   ' if self.good else 'WRONG'} {self.seconds:6.1f} s"
            f"  faults {_listed(self.injected)}  |  then {_listed(again)}  |  {self.report.seconds_of_steps}"
        )
        if self.good:
            return line
        details = [f"  planned: {'; '.join(self.noise.said)}", *(f"  WRONG: {what}" for what in self.wrong)]
        return "\n".join([line, *details, *(f"    {said}" for said in self.report.lines)])

    def keep(self, folder: Path, log: str) -> Path:
        """Write what is needed to find out why it went wrong; return where."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "told.txt").write_text("\n".join([self.told(), *self.traces]) + "\n")
        (folder / "parts.log").write_text(log)
        (folder / "host.json").write_text(json.dumps(self.host_calls, indent=1, default=str))
        return folder


def _listed(counted: Counter[str]) -> str:
    return ", ".join(f"{kind} ×{count}" for kind, count in sorted(counted.items()) if count) or "nothing"


async def play_all(
    endpoints: dict[str, Any], seeds: Iterable[int], folder: Path, store: SlowDownStore
) -> AsyncIterator[Verdict]:
    """Play every seed, also after one that failed, and yield each verdict.

    Args:
        endpoints: Of the running stack.
        seeds: Which noise.
        folder: Where the simulated hosts keep their disks; each is removed after its seed.
        store: The stack's.
    """
    for seed in seeds:
        verdict, began = Verdict(Noise.of(seed)), time.monotonic()
        try:
            await _one(endpoints, verdict, folder / f"host-{seed}", store)
        except ExceptionGroup as group:
            verdict.stopped_by(*group.exceptions)
        except (AssertionError, LookupError, OSError, RuntimeError, TimeoutError, httpx.HTTPError) as error:
            verdict.stopped_by(error)
        else:
            verdict.judge()
        verdict.seconds = time.monotonic() - began
        yield verdict


async def _one(endpoints: dict[str, Any], verdict: Verdict, folder: Path, store: SlowDownStore) -> None:
    seed, gateway, password = verdict.noise.seed, endpoints["gateway"], secrets.token_urlsafe(18)
    async with AsyncExitStack() as exits:
        starting = a_host(folder, MACHINE)
        host = await asyncio.to_thread(starting.__enter__)
        exits.push_async_callback(asyncio.to_thread, starting.__exit__, None, None, None)
        first = await exits.enter_async_context(Customer(gateway, f"xyz-{seed}@noise.example", password))
        second = await exits.enter_async_context(Customer(gateway, f"abc-{seed}@noise.example", password))
        with verdict.report.step("purchases"):
            async with provider_faults(endpoints, verdict.noise, verdict.injected), asyncio.TaskGroup() as buying:
                buying.create_task(purchases.by_mobile_money(first, endpoints, f"Entreprise XYZ {seed}"))
                buying.create_task(purchases.by_paypal(second, endpoints, f"Entreprise ABC {seed}"))
        await _backups(first, verdict, host, store)


async def _backups(customer: Customer, verdict: Verdict, host: JSON, store: SlowDownStore) -> None:
    control = EsxiControl(host["control"])
    injection = Injection(verdict.noise, control, store, verdict.injected, verdict.seen)
    try:
        await protect_and_restore(customer, verdict.report, host, injection.during)
        with verdict.report.step("tidy"):
            await _tidy(control)
    finally:
        verdict.host_calls = (await control.ask("/_sim/requests"))["results"]


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
