"""The staff in a customer's name, through the gateway: what ends it, and what the customer reads of it afterwards."""

from typing import Any

import httpx
import pytest
from devstack.customer import JSON, Customer, claims_of, until
from devstack.premises import House, bought

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.parametrize("endpoints", ["one_process_small_vault"], indirect=True),
]

JOBS = "/api/backup-jobs/"
SOON = 30
"""Seconds for a fact to come to the gateway, or to the merged audit log; a fraction of one on a quiet machine."""


async def acting(staff: Customer, house: House) -> tuple[JSON, dict[str, str]]:
    """Begin to act for a house's owner: what was answered, and the Authorization field."""
    body = {"reason": "a question about last night's backup", "minutes": 15}
    begun = await staff.post(
        f"/api/admin/organizations/{house.ids['organization_id']}/impersonations/", body, expect=201
    )
    return begun, {"authorization": f"Bearer {begun['access_token']}"}


async def asked(http: httpx.AsyncClient, headers: dict[str, str], path: str = JOBS) -> JSON:
    answer = await http.get(path, headers=headers)
    return {"status": answer.status_code, "code": answer.json().get("code")}


@pytest.mark.invariant("S85")
async def test_acting_for_customers_ends_with_the_session_in_which_it_began(
    endpoints: JSON, signed_in_staff: Any
) -> None:
    house, neighbour = [await bought(endpoints["gateway"], name) for name in ("Impersonnée", "Voisine")]
    staff, colleague = await signed_in_staff(0), await signed_in_staff(1)
    begun, mine = await acting(staff, house)
    _, elsewhere = await acting(staff, neighbour)
    _, theirs = await acting(colleague, house)
    async with httpx.AsyncClient(base_url=endpoints["gateway"], trust_env=False, timeout=30) as http:
        for headers in (mine, elsewhere, theirs):
            assert (await until(lambda who=headers: asked(http, who), lambda got: got["status"] != 503, seconds=SOON))[
                "status"
            ] == 200
        await staff.call("POST", "/api/auth/logout/", expect=204)
        for headers in (mine, elsewhere):
            ended = await until(lambda who=headers: asked(http, who), lambda got: got["status"] != 200, seconds=SOON)
            assert ended == {"status": 401, "code": "session_ended"}
        assert (await asked(http, theirs))["status"] == 200
        path = f"/api/admin/organizations/{house.ids['organization_id']}/impersonations/"
        again = await http.post(f"{path}{begun['id']}/token/", headers=dict(staff.http.headers))
        assert again.status_code in {401, 403}


@pytest.mark.invariant("S86")
async def test_each_request_in_a_customers_name_is_in_his_audit_log_and_in_no_others(
    endpoints: JSON, signed_in_staff: Any
) -> None:
    house, neighbour = [await bought(endpoints["gateway"], name) for name in ("Consultée", "Ignorée")]
    staff = await signed_in_staff(1)
    begun, headers = await acting(staff, house)
    organization = f"/api/tenants/organizations/{house.ids['organization_id']}/"
    # Of two services, and twice the same.
    paths = [JOBS, f"{organization}usage/", f"{organization}usage/", "/api/virtual-machines/"]
    async with httpx.AsyncClient(base_url=endpoints["gateway"], trust_env=False, timeout=30) as http:
        owners = {"authorization": f"Bearer {house.token}"}
        await until(lambda: asked(http, owners), lambda got: got["status"] == 200, seconds=SOON)
        for path in paths:
            assert (await asked(http, headers, path))["status"] == 200, path
    async with house.browser() as owner, neighbour.browser() as other:

        async def used() -> JSON:
            found: JSON = await owner.get(f"{organization}audit-log/", action="impersonation.used")
            return found

        def complete(found: JSON) -> bool:
            return len(found["results"]) >= len(paths)

        rows = (await until(used, complete, seconds=SOON))["results"]
        assert sorted(row["target"] for row in rows) == sorted(f"GET {path}" for path in paths)
        who = {"impersonation": begun["id"], "impersonator": claims_of(staff.http.headers["authorization"])["sub"]}
        for row in rows:
            assert (row["actor"], row["details"]) == (house.ids["user_id"], who)
        theirs = await other.get(f"/api/tenants/organizations/{neighbour.ids['organization_id']}/audit-log/")
        assert not [row for row in theirs["results"] if row["action"].startswith("impersonation.")]
