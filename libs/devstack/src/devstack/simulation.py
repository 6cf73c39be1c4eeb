"""Runs the simulators' program as a child and reads what it announces."""

import asyncio
import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from devstack.environment import PUBLIC_BASE_URL, Ports, simulated
from devstack.secrets import StackSecrets
from devstack.servers import processes
from devstack.servers.processes import Process
from devstack.stand_ins import StandIns

START_SECONDS = 60.0

APPROVAL_SETTING = "EBM_MOMO_APPROVAL_SECONDS"
"""How long a simulated mobile money payer takes to approve, where not the usual time."""

SMALL = {"name": "web-01", "capacity_mib": 512, "used_mib": 64}
"""The machine of `make dev` and `make up`."""

DEMO = {"name": "web-01", "capacity_mib": 2048, "used_mib": 400}
"""The machine of `make demo`: a 2 GiB thin disk with about 400 MiB in use."""


def told(folder: Path, kept: StackSecrets, ports: Ports, machine: dict[str, Any]) -> StandIns:
    """Return what the simulators of a stack are told."""
    return StandIns(
        ports=dict(ports.simulators),
        gateway=ports.url("gateway"),
        public_base_url=PUBLIC_BASE_URL,
        paypal={"client_id": kept.paypal_client_id, "client_secret": kept.paypal_client_secret},
        momo={
            "environment": "mtncameroon",
            "subscription_key": kept.momo_subscription_key,
            "api_user": kept.momo_api_user,
            "api_key": kept.momo_api_key,
            "disbursement_key": kept.momo_subscription_key,
            "disbursement_user": kept.momo_api_user,
            "disbursement_api_key": kept.momo_api_key,
        },
        esxi={"password": kept.esxi_password, "folder": str(folder / "esxi"), "machine": machine},
        approval_delay=float(os.environ.get(APPROVAL_SETTING) or StandIns.approval_delay),
    )


def wanted() -> list[str]:
    """Return the simulators that the environment does not replace."""
    return [*simulated(), "esxi"]


def spawn(configuration: StandIns, names: list[str], announce: Path, log: Path | None, *, tied: bool = True) -> Process:
    """Start the program for the named simulators; it announces itself in ``announce``.

    Args:
        configuration: What they are told.
        names: Which of them.
        announce: Where they write their addresses.
        log: Where their output goes; ours without one.
        tied: Whether they end with this process.
    """
    announce.parent.mkdir(parents=True, exist_ok=True)
    announce.unlink(missing_ok=True)
    return processes.spawn(
        [sys.executable, "-m", "devstack.stand_ins", "--only", ",".join(names), "--announce", announce],
        env=os.environ,
        folder=Path.cwd(),
        log=log,
        tied_by=signal.SIGTERM if tied else None,
        told=json.dumps(asdict(configuration)).encode(),
    )


async def announced(child: Process, announce: Path, log: Path | None = None) -> dict[str, Any]:
    """Wait for the announcement of a child.

    Raises:
        RuntimeError: The child ended or did not announce itself in time.
    """
    deadline = asyncio.get_running_loop().time() + START_SECONDS
    while not announce.exists():
        if not child.alive:
            raise RuntimeError(f"the simulators ended while starting:\n{processes.tail(log) if log else ''}")
        if asyncio.get_running_loop().time() > deadline:
            raise RuntimeError(f"the simulators were not ready within {START_SECONDS:.0f} s")
        await asyncio.sleep(0.05)
    found: dict[str, Any] = json.loads(announce.read_text())
    return found
