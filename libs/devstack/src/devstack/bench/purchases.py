"""A thousand purchases at once on a stack of processes, and what of them is wrong. Each buyer waits for 25 minutes."""

import asyncio
import resource
from dataclasses import replace

from devstack.bench.billing import purchases_wrong, signed_up
from devstack.bench.figures import PURCHASES_1000
from devstack.bench.measuring import Say, Sizes
from devstack.bench.report import Bar
from devstack.bench.running import Running, running

TIMES = 5
"""Of what ``purchases_wrong`` buys at once."""
PURCHASE_SECONDS = 1500.0
"""How long a buyer waits: all of them together are a queue of many minutes for two cores."""


def measure(sizes: Sizes, say: Say) -> list[Bar]:
    """Start a stack whose payers approve at once, and buy."""
    say("starting a stack")
    _many_sockets()
    with running({"EBM_MOMO_APPROVAL_SECONDS": "0"}) as stack:
        return [asyncio.run(_wrong(stack, sizes.purchases * TIMES, say))]


async def _wrong(stack: Running, purchases: int, say: Say) -> Bar:
    async with signed_up(stack, "thousand", purchases, say, seconds=PURCHASE_SECONDS) as customers:
        say(f"{purchases} purchases at once")
        found = await purchases_wrong(stack, customers, say)
    return replace(PURCHASES_1000, value=found.value, peer=found.peer, note=found.note)


def _many_sockets() -> None:
    """Let this process and the stack's parts have as many open files as the machine allows: some 3 000 are needed."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
