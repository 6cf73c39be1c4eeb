"""The providers' simulators as programs: help, announcement, and an end when they are told to."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import httpx
import pytest

PROBES = {"paypal": "/_sim/requests", "mtn_momo": "/_sim/requests", "mail": "/messages"}


@pytest.mark.parametrize("name", sorted(PROBES))
async def test_a_simulator_announces_itself_and_ends_on_sigterm(name: str, tmp_path: Path) -> None:
    announce = tmp_path / "announce.json"
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"simulators.{name}", "--announce", str(announce), stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(60):
            while not announce.exists():
                assert program.returncode is None
                await asyncio.sleep(0.05)
        facts = json.loads(announce.read_text())
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(f"{facts['url']}{PROBES[name]}")).json() == {"results": []}
    finally:
        program.send_signal(signal.SIGTERM)
        _, errors = await program.communicate()
    assert (program.returncode, errors) == (0, b"")


@pytest.mark.parametrize("name", sorted(PROBES))
async def test_a_simulator_explains_itself(name: str) -> None:
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"simulators.{name}", "--help", stdout=asyncio.subprocess.PIPE
    )
    output, _ = await program.communicate()
    assert program.returncode == 0
    assert b"--announce" in output


async def test_a_map_that_is_none_is_refused() -> None:
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulators.paypal", "--map", "https://x", stderr=asyncio.subprocess.PIPE
    )
    _, errors = await program.communicate()
    assert program.returncode == 1
    assert b"PUBLIC=LOCAL" in errors
