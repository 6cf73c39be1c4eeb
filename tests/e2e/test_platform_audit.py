"""What staff does in any service that belongs to no organization: the platform's admins read it in one place."""

import pytest
from common.ids import uuid7
from devstack.customer import JSON, Customer, until

from .test_attacks_on_money import owner_of

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.parametrize("endpoints", ["one_process_small_vault"], indirect=True),
]

LOG = "/api/admin/audit-log/"


@pytest.mark.invariant("S100")
async def test_an_act_of_finance_reaches_the_platforms_audit_log_and_no_organizations(
    new_customer, signed_in_staff
) -> None:
    owner, staff = await new_customer(), await signed_in_staff(0)
    await owner_of(owner, "Observée")
    code = f"GESTE-{uuid7().hex[-8:].upper()}"
    await staff.post("/api/admin/coupons/", {"code": code, "percent": "5", "reason": "a fair"}, expect=201)

    async def told(reader: Customer, path: str) -> JSON:
        answer = await reader.http.get(path, params={"target": code}, headers={"x-reason": "yearly review"})
        assert answer.status_code == 200, answer.text
        found: JSON = answer.json()
        return found

    found = await until(lambda: told(staff, LOG), lambda answer: bool(answer["results"]), seconds=30)
    assert [(row["source"], row["action"], row["reason"]) for row in found["results"]] == [
        ("billing", "coupon.created", "a fair")
    ]
    (organization,) = (await owner.get("/api/tenants/organizations/"))["results"]
    theirs = await told(owner, f"/api/tenants/organizations/{organization['id']}/audit-log/")
    assert theirs["results"] == []
    assert (await owner.http.get(LOG, headers={"x-reason": "curious"})).status_code == 403
