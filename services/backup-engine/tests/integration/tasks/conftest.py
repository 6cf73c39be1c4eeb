"""A lab per test: engine, organization and simulated host."""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from backup_engine.testing.engine import Engine
from backup_engine.testing.lab import Lab, lab_of
from simulators.esxi import HostSpec, VmSpec, start


@pytest.fixture
async def lab_with(engine: Engine, tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Makes a lab of VMs (`name:size:used`); keywords are quotas."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(*vms: VmSpec | str, **quotas: int | None) -> Lab:
            specs = tuple(VmSpec.parse(vm) if isinstance(vm, str) else vm for vm in vms)
            esxi = await start(HostSpec(tmp_path / "esxi", vms=specs))
            stack.push_async_callback(esxi.stop)
            return await stack.enter_async_context(lab_of(engine, esxi.announced(), **quotas))

        yield make


@pytest.fixture
async def lab(lab_with: Callable[..., Any]) -> Lab:
    """One running VM with a small disk."""
    made: Lab = await lab_with("web:96m:12m")
    return made
