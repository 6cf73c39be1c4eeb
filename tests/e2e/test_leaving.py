"""Buy, back up, take everything along, delete: nothing is left, and the neighbour notices nothing (S84)."""

import asyncio
import json
import re
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from common.persistence.leftovers import find_leftovers
from devstack.customer import JSON, Customer
from devstack.demo.patience import ended
from devstack.members import WITH_DATABASE
from devstack.premises import PASSWORD, House, bought, protect
from devstack.servers.postgres import EmbeddedPostgres

from .conftest import one_process

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(900)]

GRACE = 45
"""Seconds in which a deletion may be called off here, and in which the organization takes its data along once more."""
ERASED_SECONDS = 600
SERVICES = tuple(member.name for member in WITH_DATABASE)
LASTING = {
    "tenancy": ("organizations", "memberships", "entitlements", "invitations", "applied_orders"),
    "billing": ("orders", "payments", "invoices", "invoice_lines", "ledger_postings", "subscriptions"),
    "backup-engine": ("esxi_servers", "virtual_machines", "backup_configurations", "restore_points", "vaults", "sites"),
}
"""Tables of which an organization has rows that nothing changes while nobody does anything."""
CALENDAR = {"stepped_at", "next_step_at"}
"""Columns of a subscription that tell when it was looked at, and when it will be."""

Export = Mapping[str, list[JSON]]


async def exported(house: House, customer: Customer, service: str) -> str:
    path = f"/api/tenants/organizations/{house.ids['organization_id']}/export/{service}/"
    answer = await customer.http.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return answer.text


def rows_in(text: str, service: str, organization: str) -> Export:
    first, *lines, last = [json.loads(line) for line in text.splitlines()]
    assert (first["export"]["service"], first["export"]["organization"]) == (service, organization)
    found: dict[str, list[JSON]] = {}
    for line in lines:
        found.setdefault(line["table"], []).append(line["row"])
    assert last["end"]["rows"] == len(lines)
    assert {row["tenant_id"] for rows in found.values() for row in rows} == {organization}
    return found


def lasting(export: Export, table: str) -> list[JSON]:
    """Rows without what the calendar writes into them when it has looked."""
    return [{name: value for name, value in row.items() if name not in CALENDAR} for row in export.get(table, ())]


async def everything(house: House) -> dict[str, str]:
    async with house.browser() as customer:
        return {service: await exported(house, customer, service) for service in SERVICES}


async def mailed(endpoints: JSON, to: str, link: str) -> str:
    """The token of a link that somebody was sent."""
    deadline = time.monotonic() + 30
    async with httpx.AsyncClient(trust_env=False) as http:
        while True:
            found = (await http.get(f"{endpoints['mail']}/messages", params={"to": to})).text
            if tokens := re.findall(rf"{link}([\w-]{{20,}})", found):
                return str(tokens[0])
            assert time.monotonic() < deadline, f"nothing arrives at {to}: {found[:1000]}"
            await asyncio.sleep(0.2)


async def secrets_of(house: House, endpoints: JSON) -> list[str]:
    """What must be in no export: of the host, of the person, of an invitation that is on its way."""
    organization = house.ids["organization_id"]
    guest = f"{organization}@xyz.example"
    confirmation = await mailed(endpoints, house.email, r"verify-email\?token=")
    async with house.browser() as customer:
        await customer.post("/api/auth/verify-email/", {"token": confirmation}, expect=204)
        invite = f"/api/tenants/organizations/{organization}/invite_member/"
        await customer.post(invite, {"email": guest, "role": "viewer"}, expect=201)
    invitation = await mailed(endpoints, guest, "/invitations/")
    return [endpoints["esxi"][0]["password"], PASSWORD, house.token, confirmation, invitation]


async def restored(house: House, *, export: bool) -> JSON:
    async with house.browser() as customer:
        body = {"restore_point_id": house.ids["point_id"], "export": export}
        job = await customer.post("/api/restore/disk/", body, expect=202)
        done = await ended(customer, f"/api/restore/jobs/{job['id']}/")
        assert done["status"] == "completed", done
        return done


class Databases:
    """The services' databases as their superuser sees them, whom no policy keeps anything from."""

    def __init__(self, folder: Path) -> None:
        server = EmbeddedPostgres(folder / "dev" / "postgres").running()
        assert server is not None
        self.urls = {member.name: server.url_for(member.prefix) for member in WITH_DATABASE}

    async def ask(self, service: str, sql: str, *arguments: Any) -> Any:
        connection = await asyncpg.connect(self.urls[service])
        try:
            return await connection.fetchval(sql, *arguments)
        finally:
            await connection.close()

    async def until_erased(self, tenant: UUID) -> None:
        deadline = time.monotonic() + ERASED_SECONDS
        finished = "select count(*) from erasures where tenant_id = $1 and finished_at is not null"
        for service in self.urls:
            while not await self.ask(service, finished, tenant):
                assert time.monotonic() < deadline, f"{service} has not erased the organization"
                await asyncio.sleep(1)


def files_naming(folder: Path, *names: str) -> list[str]:
    """Files whose path or content names one of them."""
    return [
        str(path)
        for path in folder.rglob("*")
        if path.is_file() and any(name in str(path) or name.encode() in path.read_bytes() for name in names)
    ]


@pytest.mark.invariant("S13", "S42", "S82", "S83", "S84")
async def test_who_leaves_takes_everything_along_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with one_process(tmp_path, TENANCY_DELETION_GRACE=f"PT{GRACE}S") as endpoints:
        databases, stores = Databases(tmp_path), tmp_path / "dev"
        leaves, stays = [await bought(endpoints["gateway"], name) for name in ("Société Partante", "Société Restante")]
        for house in (leaves, stays):
            await protect(house, endpoints["esxi"][0])
        tenant = UUID(leaves.ids["organization_id"])
        secrets = await secrets_of(leaves, endpoints)
        await restored(leaves, export=True)
        disk = (await restored(stays, export=True))["disks"][0]

        before = {house.email: await everything(house) for house in (leaves, stays)}
        for house, other in ((leaves, stays), (stays, leaves)):
            shared = {"disk_key"}
            foreign = [other.email, *(value for name, value in other.ids.items() if name not in shared)]
            for service, text in before[house.email].items():
                rows = rows_in(text, service, house.ids["organization_id"])
                assert [table for table in LASTING[service] if not rows.get(table)] == (
                    ["invitations"] if service == "tenancy" and house is stays else []
                )
                assert [value for value in [*foreign, *secrets] if value in text] == []

        ids_of = "select array_agg(id::text) from vaults where tenant_id = $1"
        vaults = await databases.ask("backup-engine", ids_of, tenant)
        exports = stores / "exports" / str(tenant)
        assert len(list(exports.rglob("*.raw"))) == 1
        assert files_naming(stores / "vaults", *vaults)
        assert files_naming(stores / "kms", str(tenant), *vaults)

        async with leaves.browser() as owner:
            here = f"/api/tenants/organizations/{tenant}/"
            slug = (await owner.get(here))["slug"]
            await owner.post(f"{here}deletion/", {"confirmation": slug}, expect=202)
            for service in SERVICES:
                rows_in(await exported(leaves, owner, service), service, str(tenant))
        await databases.until_erased(tenant)

        for member in WITH_DATABASE:
            plan = import_module(f"{member.module}.persistence.erasure").PLAN
            left = await find_leftovers(databases.urls[member.name], tenant)
            assert set(left) <= set(plan.kept), member.name
        assert set(await find_leftovers(databases.urls["billing"], tenant)) >= {"invoices", "ledger_postings"}
        assert not exports.exists()
        assert files_naming(stores / "vaults", *vaults) == []
        assert files_naming(stores / "kms", str(tenant), *vaults) == []
        async with Customer(endpoints["gateway"], leaves.email, PASSWORD) as person:
            await person.log_in()
            assert (await person.get("/api/tenants/organizations/"))["results"] == []

        after = await everything(stays)
        for service in SERVICES:
            was, now = (
                rows_in(text, service, stays.ids["organization_id"])
                for text in (before[stays.email][service], after[service])
            )
            for table in LASTING[service]:
                assert lasting(now, table) == lasting(was, table), table
        assert (await restored(stays, export=False))["disks"][0]["sha256"] == disk["sha256"]
