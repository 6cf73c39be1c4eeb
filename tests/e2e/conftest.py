"""Running stacks for black-box tests: all parts in one process, and one process per part with RabbitMQ.

``EBM_ENDPOINTS`` names the endpoints file of a stack that runs already; then only that one is used.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pyotp
import pytest
from common.ids import uuid7
from devstack.customer import Customer, Refused
from devstack.premises import PASSWORD, House, bought, protect
from devstack.servers.ports import free_port

START_SECONDS = 150
SERVICES = ("tenancy", "billing", "backup-engine")
VAULT_BYTES = 160 << 20


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EBM_")}
    return kept | {"EBM_DEVSTACK_FOLDER": str(folder)}


@contextmanager
def one_process(folder: Path, **settings: str) -> Iterator[dict[str, Any]]:
    """Run `dev` as a child until the block ends; ``settings`` are variables of its parts.

    It names its endpoints when every part is ready; they also name each service's own address and the gateway's key,
    as somebody inside the network has them.
    """
    log = folder / "dev.log"
    ports = {name: str(free_port()) for name in SERVICES}
    listening = {f"{name.upper().replace('-', '_')}_HTTP_PORT": port for name, port in ports.items()}
    with log.open("wb") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", "devstack", "dev"],
            env=_environment(folder) | listening | settings,
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
        yield json.loads(endpoints.read_text()) | {
            "services": {name: f"http://127.0.0.1:{port}" for name, port in ports.items()},
            "gateway_key": json.loads((folder / "dev" / "secrets.json").read_text())["gateway_key"],
        }
    finally:
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0, f"dev did not end well:\n{log.read_text()[-4000:]}"


@contextmanager
def one_process_small_vault(folder: Path) -> Iterator[dict[str, Any]]:
    """Run `dev`; where root runs the tests, its vaults are on a file system small enough to be filled (``vaults``)."""
    vaults = folder / "vaults-on-tmpfs"
    vaults.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={VAULT_BYTES}", "ebm-test", str(vaults)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        with one_process(folder) as found:
            yield found
        return
    try:
        with one_process(folder, BACKUP_ENGINE_OBJECT_STORE_FOLDER=str(vaults)) as found:
            yield found | {"vaults": str(vaults)}
    finally:
        subprocess.run(["umount", str(vaults)], check=True)


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


WAYS = {"one_process": one_process, "one_process_per_part_rabbitmq": one_process_per_part}
"""Where a file's tests run unless it names another way (``parametrize("endpoints", …, indirect=True)``)."""

SMALL_VAULT = "one_process_small_vault"
"""The stack that several files share: they only need one, and leave it as they found it."""


@pytest.fixture(scope="session")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with one_process_small_vault(tmp_path_factory.mktemp("stack")) as found:
        yield found


@pytest.fixture(scope="module", params=["running"] if os.environ.get("EBM_ENDPOINTS") else list(WAYS))
def endpoints(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    if os.environ.get("EBM_ENDPOINTS"):
        yield json.loads(Path(os.environ["EBM_ENDPOINTS"]).read_text())
        return
    if request.param == SMALL_VAULT:
        yield request.getfixturevalue("shared_stack")
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


async def _signed_in_staff(endpoints: dict[str, Any], number: int) -> Customer:
    """Sign a platform admin in; a one-time code is accepted once, so wait for the next when it was used."""
    who = endpoints["staff"][number]
    staff = Customer(endpoints["gateway"], who["email"], who["password"])
    for _ in range(3):
        try:
            await staff.log_in(totp_code=pyotp.TOTP(who["totp_secret"]).now())
        except Refused:
            await asyncio.sleep(31 - time.time() % 30)
        else:
            return staff
    raise AssertionError("no code was accepted")


@pytest.fixture
async def signed_in_staff(endpoints: dict[str, Any]) -> AsyncIterator[Any]:
    """Return a function that signs in the platform staff member of that number."""
    made: list[Customer] = []

    async def sign_in(number: int) -> Customer:
        made.append(await _signed_in_staff(endpoints, number))
        return made[-1]

    yield sign_in
    for staff in made:
        await staff.http.aclose()


@cache
def _houses(gateway: str, host: str) -> tuple[House, House]:
    """Buy and fill the two organizations once for each stack; ``host`` is JSON, for it has to be hashable."""

    async def make() -> tuple[House, House]:
        first, second = await asyncio.gather(
            *(bought(gateway, name) for name in ("Entreprise Première", "Entreprise Seconde"))
        )
        await protect(first, json.loads(host))
        async with second.browser() as customer:
            body = {"hostname": "169.254.169.254", "username": "root", "password": "secret"}
            second.ids["server_id"] = (await customer.post("/api/esxi-servers/", body, expect=201))["id"]
        return first, second

    return asyncio.run(make())


@pytest.fixture(scope="module")
def houses(endpoints: dict[str, Any]) -> tuple[House, House]:
    """Two bronze organizations: the first has everything, the second one server at an address that nothing is at."""
    return _houses(endpoints["gateway"], json.dumps(endpoints["esxi"][0]))


@pytest.fixture
def first(houses: tuple[House, House]) -> House:
    return houses[0]


@pytest.fixture
def second(houses: tuple[House, House]) -> House:
    return houses[1]
