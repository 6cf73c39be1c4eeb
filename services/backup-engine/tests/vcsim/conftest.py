"""govmomi's simulator per test, for `make test-vcsim`; an ordinary run, which has none, does not collect this folder.

What it cannot show, and what the simulator of ours is for: changed areas, consolidation, export and import leases,
guest shutdown, ticket checks on datastore files. https://github.com/vmware/govmomi/tree/v0.24.2/simulator
"""

import contextlib
import json
import os
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from backup_engine.adapters.vsphere.dialer import DialPolicy
from backup_engine.adapters.vsphere.hypervisor import VSphereConnector, VSphereHypervisor
from backup_engine.ports.hypervisor_values import Credentials, Endpoint

PROGRAM = os.environ.get("EBM_TEST_VCSIM", "")
collect_ignore_glob = [] if PROGRAM else ["test_*.py"]

USERNAME, PASSWORD = "backup", "correct horse"


@dataclass
class Lab:
    """A running simulator and a connector to it."""

    endpoint: Endpoint
    connector: VSphereConnector
    sessions: contextlib.AsyncExitStack
    is_vcenter: bool
    credentials: Credentials = field(default_factory=lambda: Credentials(USERNAME, PASSWORD))

    async def connect(self) -> VSphereHypervisor:
        session = await self.connector.connect(self.endpoint, self.credentials)
        self.sessions.push_async_callback(session.close)
        return session


def run_simulator(stack: contextlib.AsyncExitStack, *options: str) -> Endpoint:
    """Start it and read where it listens; it ends with the stack, or with this process."""
    command = [PROGRAM, "-username", USERNAME, "-password", PASSWORD, *options]
    child = stack.enter_context(
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    )
    stack.callback(child.terminate)
    assert child.stdout is not None
    host, _, port = json.loads(child.stdout.readline())["address"].rpartition(":")
    return Endpoint(host, int(port))


@pytest.fixture
async def lab_of() -> AsyncIterator[Callable[..., Lab]]:
    """Makes a lab; its arguments are options of the program."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(*options: str) -> Lab:
            endpoint = run_simulator(stack, *options)
            connector = VSphereConnector(DialPolicy(allow_loopback=True), threads=4, retry_seconds=0.01)
            stack.push_async_callback(connector.aclose)
            sessions = await stack.enter_async_context(contextlib.AsyncExitStack())
            return Lab(endpoint, connector, sessions, "-vcenter" in options)

        yield make


@pytest.fixture(params=[(), ("-vcenter",)], ids=["esxi", "vcenter"])
async def lab(request, lab_of) -> Lab:
    """One host, and once more behind a vCenter."""
    made: Lab = await lab_of(*request.param)
    return made


@pytest.fixture
async def session(lab: Lab) -> VSphereHypervisor:
    """Logged in."""
    return await lab.connect()


@pytest.fixture
async def moid(session: VSphereHypervisor) -> str:
    """A running VM."""
    return (await session.inventory()).virtual_machines[0].moid
