"""Customers with everything that one can own, and hosts of a test's own: what the end-to-end tests start from."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from common.ids import uuid7

from devstack.customer import JSON, MTN_MOMO, Customer, claims_of
from devstack.demo.patience import ended
from devstack.servers.processes import spawn, tail

PASSWORD = "correct horse battery staple"
BRONZE, SILVER = 1, 2
HOST_SECONDS = 180.0
"""A simulated host is there in two; this is for a machine that has much else to do."""


SIGN_IN_AGAIN_SECONDS = 300.0
"""What a token must have left when a test takes it: tests of one stack go on for longer than its ten minutes."""


@dataclass
class House:
    """A customer as every test finds him: signed in, with what he owns by the name of its path parameter."""

    gateway: str
    email: str
    signed_in_with: str
    ids: dict[str, str]

    @property
    def token(self) -> str:
        """An access token that lasts for a test; one that runs out soon is left for another, of a session more."""
        if claims_of(self.signed_in_with)["exp"] - time.time() < SIGN_IN_AGAIN_SECONDS:
            body = {"email": self.email, "password": PASSWORD}
            answer = httpx.post(f"{self.gateway}/api/auth/login/", json=body, trust_env=False, timeout=60)
            self.signed_in_with = answer.raise_for_status().json()["access_token"]
        return self.signed_in_with

    def browser(self, *, token: str | None = None) -> Customer:
        customer = Customer(self.gateway, self.email, PASSWORD)
        customer.http.headers["authorization"] = f"Bearer {token or self.token}"
        return customer


async def bought(gateway: str, name: str, *, plan: int = BRONZE) -> House:
    """Sign up and buy a plan by mobile money."""
    async with Customer(gateway, f"{uuid7().hex}@xyz.example", PASSWORD) as customer:
        await customer.register(name)
        await customer.log_in()
        order = await customer.order(plan, name)
        payment = await customer.pay(order, MTN_MOMO)
        organization = await customer.paid(order)
        tokens = await customer.log_in()
        invoice = (await customer.get("/api/tenants/invoices/"))["results"][0]
    ids = {
        "order_id": order["id"],
        "payment_id": payment["payment_id"],
        "organization_id": organization["id"],
        "user_id": (about := claims_of(tokens["access_token"]))["sub"],
        "session_id": about["sid"],
        # Of their own kind, and nobody's: a new organization has none.
        "key_id": str(uuid7()),
        "passkey_id": str(uuid7()),
        "endpoint_id": str(uuid7()),
        "delivery_id": str(uuid7()),
        "invitation_id": str(uuid7()),
        "impersonation_id": str(uuid7()),
        "credit_note_id": str(uuid7()),
        "invoice_id": invoice["id"],
    }
    return House(gateway, customer.email, tokens["access_token"], ids)


def server_body(host: JSON, **changes: Any) -> JSON:
    """Return what registers a host that a simulator has announced."""
    fields = ("port", "username", "password", "thumbprint")
    return {"hostname": host["host"], **{name: host[name] for name in fields}} | changes


async def protect(house: House, host: JSON) -> None:
    """Give the house a server, a machine, a configuration, a restore point and a disk restore."""
    async with house.browser() as customer:
        server = await customer.post("/api/esxi-servers/", server_body(host), expect=201)
        await customer.post(f"/api/esxi-servers/{server['id']}/sync_vms/")
        machine = (await customer.get("/api/virtual-machines/", server_id=server["id"]))["results"][0]
        wanted = {"name": "Toutes les nuits", "server_id": server["id"], "vm_ids": [machine["id"]]}
        configuration = await customer.post("/api/backup-configs/", wanted, expect=201)
        job = await customer.post("/api/backup-jobs/", {"vm_id": machine["id"]}, expect=202)
        done = await ended(customer, f"/api/backup-jobs/{job['id']}/")
        assert done["status"] == "completed", done
        point = done["tasks"][0]["restore_point_id"]
        restore = await customer.post("/api/restore/disk/", {"restore_point_id": point}, expect=202)
        restored = await ended(customer, f"/api/restore/jobs/{restore['id']}/")
    house.ids.update(
        server_id=server["id"],
        vm_id=machine["id"],
        configuration_id=configuration["id"],
        job_id=job["id"],
        restore_job_id=restore["id"],
        point_id=point,
        disk_key=str(restored["disks"][0]["key"]),
    )


@contextmanager
def a_host(folder: Path, *machines: str, port: int = 0, lease_timeout: int = 300) -> Iterator[JSON]:
    """Run a simulated host of one's own until the block ends.

    Args:
        folder: Where it keeps disks and certificate; a new folder has a new certificate.
        *machines: ``name:size:used``.
        port: Where it listens; a free port unless given.
        lease_timeout: Seconds without a report until it ends an export or import.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    announced = folder.with_suffix(".json")
    command = [sys.executable, "-m", "simulators.esxi", "--folder", str(folder), "--announce", str(announced)]
    command += ["--port", str(port), "--lease-timeout", str(lease_timeout)]
    command += [*(part for machine in machines for part in ("--vm", machine))]
    log = folder.with_suffix(".log")
    child = spawn(command, env=os.environ, folder=Path.cwd(), log=log, tied_by=signal.SIGTERM)
    try:
        deadline = time.monotonic() + HOST_SECONDS
        while (found := _announcement(announced)) is None:
            if not child.alive or time.monotonic() > deadline:
                raise RuntimeError(f"the simulated host does not start:\n{tail(log)}")
            time.sleep(0.05)
        yield found
    finally:
        child.end((signal.SIGTERM, 30.0), (signal.SIGKILL, 5.0))


def _announcement(path: Path) -> JSON | None:
    """Return what a program has written, once it is whole."""
    try:
        found: JSON = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return found
