"""``make up`` and ``make down``: a stack of processes that outlives the command that started it.

Everything that was started is in ``.devstack/up/running.json`` with its pid and start time, so that ``down`` ends
those processes and no others, and a second ``up`` sees that all of them still run.
"""

import asyncio
import subprocess
import sys
from typing import Any

from devstack import endpoints, environment
from devstack.endpoints import ROOT
from devstack.servers.errors import ServerError
from devstack.stack import Stack

FOLDER = ROOT / "up"
UP_SECONDS = 110.0
"""`up` has 120 s; what is left over is for ending what it started and saying why it failed."""


def _stack() -> Stack:
    return Stack(FOLDER, tied=False, own_servers=False)


async def up() -> int:
    """Start what is missing; return 0 only when every part is ready."""
    stack = _stack()
    before = stack.processes
    if before and all(process.alive for process in before.values()):
        sys.stdout.write(f"already up: {len(before)} processes, gateway {endpoints.read()['gateway']}\n")
        return 0
    if before:
        await down()
    environment.announce_simulators()
    try:
        async with asyncio.timeout(UP_SECONDS):
            found: dict[str, Any] = endpoints.write(await stack.start())
    except (TimeoutError, RuntimeError, OSError, ServerError, SystemExit) as error:
        await down()
        sys.stderr.write(f"not up: {str(error) or 'not ready in time'}\nlogs are in {stack.logs}\n")
        return 1
    count = len(stack.processes)
    sys.stdout.write(f"up: {count} processes, gateway {found['gateway']}, endpoints in {endpoints.PATH}\n")
    return 0


async def down() -> int:
    """End the parts and the servers that `up` started, and no other."""
    count = await _stack().end()
    if count:
        endpoints.forget()
    sys.stdout.write(f"down: {count} processes ended\n" if count else "nothing was up\n")
    return 0


def logs() -> int:
    """Follow the logs of what `up` started until interrupted."""
    stack = _stack()
    running = [process.log for process in stack.processes.values() if process.alive]
    if not running:
        sys.stderr.write(f"nothing runs that `make up` started; older logs are in {stack.logs}\n")
        return 1
    return subprocess.call(["tail", "-n", "20", "-F", *sorted(running)])
