"""Puts rules into force in a simulator, and tells which of them acted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from devstack.demo.esxi import EsxiControl
from devstack.noise.plan import MIB, Noise, Rule

IN_THE_MIDDLE = 2 * MIB
"""Bytes that a lease has moved when the sessions expire: after its first keep-alives, long before its end."""

GUEST_STEPS = ("first", "second")
"""Backups of the running machine."""


@dataclass
class Injection:
    """The faults of one seed on its way through the demo.

    Attributes:
        noise: What goes wrong.
        missed: Rules that met nothing to act on.
    """

    noise: Noise
    control: EsxiControl
    missed: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def during(self, step: str, moid: str) -> AsyncIterator[None]:
        """Make the host and the guest misbehave while a step of the demo runs."""
        rules = self.noise.esxi.get(step, [])
        await self._put(rules)
        guest = self.noise.guest_mib_s if step in GUEST_STEPS else None
        if guest:
            await self.control.do(f"/_sim/vms/{moid}/guest", {"write_rate_mib_s": guest})
        expiring = asyncio.create_task(self._expire()) if step == self.noise.expired_during else None
        try:
            yield
            if expiring is not None and not expiring.done():
                self.missed.append(f"{step}: sessions expire")
            self.missed += [f"{step}: {rule['action']}" for rule in await self._left()]
        finally:
            if expiring is not None:
                expiring.cancel()
                await asyncio.gather(expiring, return_exceptions=True)
            if guest:
                await self.control.do(f"/_sim/vms/{moid}/guest", {"write_rate_mib_s": None})

    async def _put(self, rules: list[Rule]) -> None:
        async with httpx.AsyncClient(base_url=self.control.url, trust_env=False) as http:
            (await http.put("/_sim/faults", json=rules)).raise_for_status()

    async def _left(self) -> list[dict[str, Any]]:
        return [rule for rule in (await self.control.ask("/_sim/faults"))["rules"] if rule["times"]]

    async def _expire(self) -> None:
        """Wait for a lease in the middle of its transfer, then let the host forget every session."""
        while True:
            leases = (await self.control.ask("/_sim/leases"))["results"]
            if any(lease["state"] == "ready" and lease["streamed_bytes"] >= IN_THE_MIDDLE for lease in leases):
                await self.control.do("/_sim/sessions/expire", {})
                return
            await asyncio.sleep(0.02)


@asynccontextmanager
async def provider_faults(endpoints: dict[str, Any], noise: Noise) -> AsyncIterator[list[str]]:
    """Keep the providers' rules in force for a block; the list names, after it, those that met nothing."""
    missed: list[str] = []
    async with httpx.AsyncClient(trust_env=False) as http:
        for name, rules in noise.providers.items():
            (await http.put(f"{endpoints[name]}/_sim/faults", json={"rules": rules})).raise_for_status()
        yield missed
        for name in noise.providers:
            rules = (await http.get(f"{endpoints[name]}/_sim/faults")).json()["rules"]
            missed += [f"{name}: {rule['match']}" for rule in rules if rule["times"]]
