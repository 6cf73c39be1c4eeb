"""What somebody sees who looks at a running stack from beside it: logs, metrics, readiness; and what nobody may see.

One process per part with RabbitMQ between them, the main job done once: a purchase, a backup, a restore.
"""

import asyncio
import base64
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import pytest
from common.ids import uuid7
from devstack.customer import MTN_MOMO, PAYPAL, Customer
from devstack.premises import House, protect
from devstack.stack import PARTS, Stack
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

START_SECONDS = 300
"""Longer than a person would wait: the machine may be busy with other tests."""

WRONG_PASSWORD = "not-the-right-horse-9471"
TYPED = ("typed-into-a-query-7781", "typed-into-a-body-2296", "typed-as-host-password-6634", "typed-as-token-5512")
"""What a customer enters where it does not belong, or where it is refused."""


@dataclass
class Watched:
    """A stack on which the main job was done."""

    stack: Stack
    endpoints: dict[str, Any]
    house: House
    secrets: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def lines(self, part: str) -> list[dict[str, Any]]:
        """The log of a part; every line has to be JSON."""
        log = Path(self.stack.processes[part].log)
        return [json.loads(line) for line in log.read_text().splitlines()]

    async def metrics(self, part: str) -> dict[str, Metric]:
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.get(f"{self.stack.processes[part].ops_url}/metrics")
        return {family.name: family for family in text_string_to_metric_families(answer.text)}

    def newest(self, part: str, **said: str) -> dict[str, Any]:
        """A part's newest line about the customer that says this; others may use the same stack."""
        wanted = {"tenant_id": self.house.ids["organization_id"], **said}
        return [line for line in self.lines(part) if wanted.items() <= line.items()][-1]

    def parts_that_say(self, name: str, value: str) -> set[str]:
        return {part for part in PARTS for line in self.lines(part) if line.get(name) == value}


async def _main_job(stack: Stack, endpoints: dict[str, Any]) -> Watched:
    async with Customer(endpoints["gateway"], f"{uuid7().hex}@xyz.example", f"{uuid7().hex}-horse") as customer:
        await customer.register("Observée")
        signed_in = await customer.log_in()
        order = await customer.order(1, "Observée")
        await customer.pay(order, PAYPAL)
        payment = await customer.pay(order, MTN_MOMO)
        organization = await customer.paid(order)
        tokens = await customer.log_in()
        ids = {"organization_id": organization["id"], "payment_id": payment["payment_id"]}
        house = House(endpoints["gateway"], customer.email, tokens["access_token"], ids)
        await protect(house, endpoints["esxi"][0])
        watched = Watched(stack, endpoints, house)
        for answer in (signed_in, tokens):
            watched.secrets |= {answer["access_token"], answer["refresh_token"]}
        watched.secrets |= {customer.password, endpoints["esxi"][0]["password"]}
        await _go_wrong(watched, customer)
    return watched


async def _go_wrong(watched: Watched, customer: Customer) -> None:
    """Requests that are refused, each with something in it that must not be remembered anywhere."""
    http = customer.http
    host = watched.endpoints["esxi"][0]
    server = {"hostname": host["host"], "port": host["port"], "username": "root", "password": TYPED[2]}
    answers = [
        await http.post("/api/auth/login/", json={"email": customer.email, "password": WRONG_PASSWORD}),
        await http.get("/api/tenants/orders/", params={"password": TYPED[0]}),
        await http.post("/api/tenants/orders/", json={"plan_id": "x", "api_key": TYPED[1]}),
        await http.post("/api/auth/login/", content=b'{"password": "' + TYPED[1].encode()),
        await http.post("/api/esxi-servers/", json=server | {"thumbprint": host["thumbprint"]}),
        await http.post("/api/esxi-servers/", json=server | {"hostname": "no-such-host.example"}),
        await http.post("/api/esxi-servers/", json=server | {"quota": 1}),
        await http.post("/api/auth/refresh/", json={"refresh_token": TYPED[3]}),
        await http.post(f"/webhooks/mtn-momo/{TYPED[3]}", json={"status": "SUCCESSFUL"}),
        await http.post("/webhooks/paypal/", json={"id": TYPED[1]}, headers={"paypal-transmission-sig": TYPED[3]}),
        await http.get("/api/tenants/organizations/", headers={"authorization": f"Bearer {TYPED[3]}"}),
        await http.get("/api/tenants/organizations/", headers={"cookie": f"sessionid={TYPED[3]}"}),
    ]
    watched.secrets |= {WRONG_PASSWORD, *TYPED}
    watched.problems = [answer.text for answer in answers if answer.status_code >= 400]
    assert len(watched.problems) >= 8, [answer.status_code for answer in answers]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    if running := os.environ.get("EBM_ENDPOINTS"):
        stack = Stack(Path(running).parent / "up", tied=False)
        yield asyncio.run(_main_job(stack, json.loads(Path(running).read_text())))
        return
    stack = Stack(tmp_path_factory.mktemp("observed"))
    try:
        endpoints = asyncio.run(stack.start(seconds=START_SECONDS))
        yield asyncio.run(_main_job(stack, endpoints))
    finally:
        asyncio.run(stack.remove())


async def test_a_purchase_is_one_trace_from_the_gateway_to_every_worker(watched: Watched) -> None:
    told = watched.newest("billing-worker", event="fact published", event_type="payment.confirmed.v1")
    [asked] = [
        line
        for line in watched.lines("gateway-api")
        if line["event"] == "answered" and line["route"].endswith("/initiate_payment/")
        if line["correlation_id"] == told["correlation_id"]
    ]
    wanted = {"gateway-api", "billing-api", "billing-worker", "tenancy-worker", "backup-engine-worker"}
    assert watched.parts_that_say("correlation_id", asked["correlation_id"]) >= wanted
    assert watched.parts_that_say("trace_id", asked["trace_id"]) >= wanted


async def test_a_backup_is_one_trace_from_the_gateway_into_the_runner_and_out_again(watched: Watched) -> None:
    asked = watched.newest("gateway-api", event="answered", method="POST", route="/api/backup-jobs/")
    wanted = {"gateway-api", "backup-engine-api", "backup-engine-runner"}
    assert watched.parts_that_say("trace_id", asked["trace_id"]) >= wanted
    # The runner's facts go out by the worker.
    assert watched.parts_that_say("correlation_id", asked["correlation_id"]) >= {*wanted, "backup-engine-worker"}


@pytest.mark.invariant("S12")
async def test_every_line_of_a_customers_trace_names_the_organization(watched: Watched) -> None:
    asked = watched.newest("gateway-api", event="answered", method="POST", route="/api/backup-jobs/")
    found = [
        (part, line)
        for part in PARTS
        for line in watched.lines(part)
        if line.get("correlation_id") == asked["correlation_id"]
    ]
    assert found
    assert [pair for pair in found if pair[1].get("tenant_id") != watched.house.ids["organization_id"]] == []


COMMON = {"process_resident_memory_bytes", "part_ready"}
HTTP = {"http_requests", "http_request_seconds"}
WORKER = {"events_published", "events_handled", "outbox_facts", "inbox_facts", "timer_last_success_timestamp_seconds"}
RUNNER = {"runner_tasks", "runner_task_seconds", "runner_read_bytes", "runner_stored_bytes", "runner_tasks_running"}
EXPECTED = {part: COMMON | {"api": HTTP, "worker": WORKER, "runner": RUNNER}[how] for part, (_, how) in PARTS.items()}


@pytest.mark.parametrize("part", PARTS)
async def test_each_part_tells_prometheus_what_it_did(part: str, watched: Watched) -> None:
    families = await watched.metrics(part)
    moved = {name for name, family in families.items() if any(sample.value > 0 for sample in family.samples)}
    idle = {"outbox_facts", "inbox_facts", "runner_tasks_running"}
    assert families.keys() >= EXPECTED[part]
    assert moved >= EXPECTED[part] - idle


@pytest.mark.parametrize("part", PARTS)
async def test_no_metric_has_a_series_per_organization_or_path(part: str, watched: Watched) -> None:
    ids = set(watched.house.ids.values()) - {watched.house.ids["disk_key"]}
    labels = [
        value
        for family in (await watched.metrics(part)).values()
        for sample in family.samples
        for value in sample.labels.values()
    ]
    assert [value for value in labels if any(one in value for one in ids)] == []


CHECKED = {
    "gateway-api": {"key_set"},
    "tenancy-api": {"database"},
    "tenancy-worker": {"database", "broker"},
    "billing-api": {"database", "receipts"},
    "billing-worker": {"database", "receipts", "broker"},
    "backup-engine-api": {"database", "vaults", "keys"},
    "backup-engine-worker": {"database", "vaults", "keys", "broker"},
    "backup-engine-runner": {"database", "vaults", "keys", "broker"},
}
"""A provider is in none: while it is away everything else goes on, and its questions are asked again."""


@pytest.mark.parametrize("part", PARTS)
async def test_a_ready_part_names_what_it_looked_at(part: str, watched: Watched) -> None:
    status, said = await watched.stack.readiness(part)
    assert (status, said["missing"], set(said["checked"])) == (200, {}, CHECKED[part])


@pytest.mark.parametrize("part", ["backup-engine-api", "backup-engine-worker", "backup-engine-runner"])
@pytest.mark.parametrize(("check", "name"), [("vaults", "vaults"), ("keys", "kms")])
async def test_a_part_without_its_folder_names_it(part: str, check: str, name: str, watched: Watched) -> None:
    folder = watched.stack.folder / name
    away = folder.rename(folder.with_name("unmounted"))
    try:
        status, said = await watched.stack.readiness(part)
    finally:
        away.rename(folder)
    assert (status, set(said["missing"])) == (503, {check})


def spellings(secret: str) -> set[bytes]:
    """A secret as it may stand in a file: literal, URL-encoded, in JSON, in base64 at each of three offsets."""
    plain = secret.encode()
    coded = {base64.b64encode(b"x" * shift + plain)[4 if shift else 0 : -4].rstrip(b"=") for shift in range(3)}
    written = {plain, quote(secret, safe="").encode(), quote_plus(secret).encode(), json.dumps(secret)[1:-1].encode()}
    return written | {one for one in coded if len(one) >= 12}


def strings_in(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        node = list(node.values())
    if isinstance(node, list):
        for one in node:
            yield from strings_in(one)
    elif isinstance(node, str):
        yield node


async def _everything_secret(watched: Watched) -> set[str]:
    kept = json.loads((watched.stack.folder / "secrets.json").read_text())
    public = {kept[key][name] for key in ("gateway_key", "token_key") for name in ("kid", "kty", "crv", "x", "alg")
              if name in kept[key]}  # fmt: skip
    stack = set(strings_in(kept)) - public
    staff = {who[name] for who in watched.endpoints["staff"] for name in ("password", "totp_secret")}
    payments = await watched.stack.rows("billing", "select callback_token from payments")
    tokens = {row["callback_token"] for row in payments if row["callback_token"]}
    assert tokens
    found = stack | staff | tokens | watched.secrets
    return {secret for secret in found if len(secret) >= 12}


async def test_no_secret_is_in_any_log_event_or_answer(watched: Watched) -> None:
    secrets = await _everything_secret(watched)
    logs = [*watched.stack.folder.rglob("*.log"), *watched.stack.folder.rglob("*.log.*")]
    seen = {str(path.relative_to(watched.stack.folder)): path.read_bytes() for path in logs if path.is_file()}
    for database in ("billing", "tenancy", "backup_engine"):
        for table, column in (
            ("outbox", "envelope"),
            ("inbox", "envelope"),
            ("inbox", "reason"),
            ("audit_log", "details"),
        ):
            rows = await watched.stack.rows(database, f"select {column}::text as text from {table}")
            seen[f"{database}.{table}.{column}"] = "\n".join(row["text"] or "" for row in rows).encode()
    seen["answers"] = "\n".join(watched.problems).encode()
    assert any(name.startswith("logs/") and text for name, text in seen.items())
    leaks = [
        (name, secret[:4] + "…", len(secret))
        for secret in secrets
        for spelling in spellings(secret)
        for name, text in seen.items()
        if spelling in text
    ]
    assert leaks == []


async def test_the_search_for_secrets_finds_them_however_they_are_written() -> None:
    secret = "päss/word+with=signs"
    inside = f"before {secret} after"
    for text in (inside, quote(inside, safe=""), json.dumps(inside, ensure_ascii=True)):
        assert any(one in text.encode() for one in spellings(secret))
    for shift in range(3):
        encoded = base64.b64encode(f"{'.' * shift}{inside}".encode())
        assert any(one in encoded for one in spellings(secret))


async def test_parts_name_the_server_that_went_away(watched: Watched) -> None:
    """Last: it takes the servers away."""
    if os.environ.get("EBM_ENDPOINTS"):
        pytest.skip("the running stack's servers are not this test's to stop")
    await asyncio.to_thread(watched.stack.rabbitmq.stop)
    await _misses(watched, "tenancy-worker", "broker")
    await asyncio.to_thread(watched.stack.postgres.stop)
    await _misses(watched, "billing-api", "database")


async def _misses(watched: Watched, part: str, check: str) -> None:
    deadline = asyncio.get_running_loop().time() + 60
    while check not in (found := await watched.stack.readiness(part))[1].get("missing", {}):
        assert asyncio.get_running_loop().time() < deadline, found
        await asyncio.sleep(0.2)
    assert found[0] == 503
