"""Running stacks for black-box tests: all parts in one process, and one process per part with RabbitMQ.

``EBM_ENDPOINTS`` names the endpoints file of a stack that runs already; then only that one is used.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from common.ids import uuid7
from devstack.customer import Customer

START_SECONDS = 150
PASSWORD = "correct horse battery staple"


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EBM_")}
    return kept | {"EBM_DEVSTACK_FOLDER": str(folder)}


@contextmanager
def one_process(folder: Path) -> Iterator[dict[str, Any]]:
    """Run `dev` as a child until the block ends."""
    log = folder / "dev.log"
    with log.open("wb") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", "devstack", "dev"],
            env=_environment(folder),
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
        )
    try:
        endpoints = folder / "endpoints.json"
        deadline = time.monotonic() + START_SECONDS
        while not endpoints.exists():
            assert child.poll() is None, f"dev ended:\n{log.read_text()[-4000:]}"
            assert time.monotonic() < deadline, f"dev not ready:\n{log.read_text()[-4000:]}"
            time.sleep(0.1)
        wait_until_ready(endpoints)
        yield json.loads(endpoints.read_text())
    finally:
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0, f"dev did not end well:\n{log.read_text()[-4000:]}"


@contextmanager
def one_process_per_part(folder: Path) -> Iterator[dict[str, Any]]:
    """Run `up`, and `down` in the end."""

    def way(name: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "devstack", name],
            env=_environment(folder),
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    started = way("up")
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        yield json.loads((folder / "endpoints.json").read_text())
    finally:
        ended = way("down")
        assert ended.returncode == 0, ended.stdout + ended.stderr


def wait_until_ready(endpoints: Path) -> None:
    """Wait until the gateway answers."""
    import httpx

    url = json.loads(endpoints.read_text())["gateway"] + "/healthz"
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if httpx.get(url, trust_env=False, timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        assert time.monotonic() < deadline, "the gateway does not answer"
        time.sleep(0.1)


WAYS = {"one_process": one_process, "one_process_per_part_rabbitmq": one_process_per_part}


@pytest.fixture(scope="module", params=["running"] if os.environ.get("EBM_ENDPOINTS") else list(WAYS))
def endpoints(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    if request.param == "running":
        yield json.loads(Path(os.environ["EBM_ENDPOINTS"]).read_text())
        return
    with WAYS[request.param](tmp_path_factory.mktemp("stack")) as found:
        yield found


@pytest.fixture
async def new_customer(endpoints: dict[str, Any]) -> AsyncIterator[Any]:
    """Return a function that makes a person with a browser, registered and signed in."""
    made: list[Customer] = []

    async def make(*, language: str = "fr") -> Customer:
        customer = Customer(endpoints["gateway"], f"{uuid7().hex}@xyz.example", PASSWORD, language=language)
        made.append(customer)
        await customer.register("Contact XYZ")
        await customer.log_in()
        return customer

    yield make
    for customer in made:
        await customer.http.aclose()
