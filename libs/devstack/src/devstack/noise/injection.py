"""Puts faults into force in the simulators and in front of the store, and counts those that took effect."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from devstack.demo.esxi import EsxiControl
from devstack.noise.plan import MIB, Noise, Rule, kind_of
from devstack.noise.store import SlowDownStore

IN_THE_MIDDLE = 2 * MIB
"""Bytes that a lease has moved when the sessions expire: after its first keep-alives, long before its end."""

GUEST_STEPS = ("first", "second")
"""Backups of the running machine."""

LEASES = ("ExportSnapshot", "ImportVApp")


@dataclass
class Injection:
    """The faults of one seed on its way through the demo.

    Attributes:
        noise: What goes wrong.
        injected: Faults that took effect, by kind.
        seen: What the product did about them, as host and store saw it.
    """

    noise: Noise
    control: EsxiControl
    store: SlowDownStore
    injected: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    _expired_at: float = field(init=False, default=float("inf"))

    @asynccontextmanager
    async def during(self, step: str, moid: str) -> AsyncIterator[None]:
        """Make host, guest and store misbehave while a step of the demo runs."""
        rules, began = self.noise.esxi.get(step, []), time.time()
        await self._put(rules)
        self.store.refuse(self.noise.store.get(step))
        guest = self.noise.guest_mib_s if step in GUEST_STEPS else None
        if guest:
            await self.control.do(f"/_sim/vms/{moid}/guest", {"write_rate_mib_s": guest})
        expiring = asyncio.create_task(self._expire()) if step == self.noise.expired_during else None
        try:
            yield
            await self._count(rules, began)
        finally:
            if expiring is not None:
                expiring.cancel()
                await asyncio.gather(expiring, return_exceptions=True)
            self.store.refuse(None)
            if guest:
                await self.control.do(f"/_sim/vms/{moid}/guest", {"write_rate_mib_s": None})

    async def _put(self, rules: list[Rule]) -> None:
        async with httpx.AsyncClient(base_url=self.control.url, trust_env=False) as http:
            (await http.put("/_sim/faults", json=rules)).raise_for_status()

    async def _count(self, rules: list[Rule], began: float) -> None:
        """Count what took effect, and what the product did about it."""
        for rule, state in zip(rules, (await self.control.ask("/_sim/faults"))["rules"], strict=True):
            self.injected[kind_of(rule)] += state["acted"]
        self.injected["store 503"] += self.store.refused
        self.seen["store asked again"] += self.store.asked_again
        calls = [call for call in (await self.control.ask("/_sim/requests"))["results"] if call["at"] >= began]
        leases = sum(call["name"] in LEASES for call in calls)
        self.seen["lease taken again"] += max(0, leases - 1)
        logins = [call for call in calls if call["name"] == "Login" and call["at"] >= self._expired_at]
        self.seen["logged in again"] += bool(logins)
        self._expired_at = float("inf")

    async def _expire(self) -> None:
        """Wait for a lease in the middle of its transfer, then let the host forget every session."""
        while True:
            leases = (await self.control.ask("/_sim/leases"))["results"]
            if any(lease["state"] == "ready" and lease["streamed_bytes"] >= IN_THE_MIDDLE for lease in leases):
                at = time.time()
                if (await self.control.do("/_sim/sessions/expire", {}))["expired"]:
                    self._expired_at = at
                    self.injected["sessions expired"] += 1
                    return
            await asyncio.sleep(0.02)


@asynccontextmanager
async def provider_faults(endpoints: dict[str, Any], noise: Noise, injected: Counter[str]) -> AsyncIterator[None]:
    """Keep the providers' rules in force for a block and count, after it, those that acted."""
    async with httpx.AsyncClient(trust_env=False) as http:
        for name, rules in noise.providers.items():
            (await http.put(f"{endpoints[name]}/_sim/faults", json={"rules": rules})).raise_for_status()
        yield
        for name, rules in noise.providers.items():
            states = (await http.get(f"{endpoints[name]}/_sim/faults")).json()["rules"]
            for rule, state in zip(rules, states, strict=True):
                injected[kind_of(rule)] += rule["times"] - state["times"]
