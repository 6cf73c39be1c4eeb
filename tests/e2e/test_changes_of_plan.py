"""Finance gives an organization another plan: what it may use follows in every service, and in no other organization."""

import asyncio

import pytest
from common.ids import uuid7
from devstack.customer import JSON, Customer, until

from .test_attacks_on_money import owner_of

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.parametrize("endpoints", ["one_process_small_vault"], indirect=True),
]

FREE = {"percent": "100", "max_redemptions": 1, "reason": "a night without backups"}


async def standing(owner: Customer) -> JSON:
    """What the owner's organization is said to have: the plan by billing, the limits by tenancy."""
    (organization,) = (await owner.get("/api/tenants/organizations/"))["results"]
    usage = await owner.get(f"/api/tenants/organizations/{organization['id']}/usage/")
    subscription = await owner.get("/api/tenants/subscription/")
    return {
        "id": organization["id"],
        "plan": subscription["plan"]["name"],
        "of": organization["plan"],
        "limits": usage["limits"],
    }


async def test_another_plan_by_finance_is_the_same_plan_everywhere_and_nobody_elses(
    new_customer, signed_in_staff
) -> None:
    owner, stranger = await new_customer(), await new_customer()
    await asyncio.gather(owner_of(owner, "Promue"), owner_of(stranger, "Tranquille"))
    before, theirs = await standing(owner), await standing(stranger)
    assert (before["plan"], theirs["plan"]) == ("bronze", "bronze")
    staff: Customer = await signed_in_staff(0)
    code = f"GESTE-{uuid7().hex[-8:].upper()}"
    await staff.post("/api/admin/coupons/", FREE | {"code": code}, expect=201)
    wanted = {"plan_id": 3, "billing_cycle": "monthly", "coupon_code": code, "reason": "a night without backups"}
    path = f"/api/admin/organizations/{before['id']}/plan/"
    assert (await owner.http.post(path, json=wanted)).status_code == 403
    order = await staff.post(path, wanted, expect=201)
    assert (order["status"], order["total_amount"]) == ("completed", "0")

    async def now() -> JSON:
        return await standing(owner)

    # Each service hears of it by itself.
    after = await until(now, lambda found: found["plan"] == found["of"] == "gold", seconds=30)
    assert (after["plan"], after["of"]) == ("gold", "gold")
    assert after["limits"] != before["limits"]
    assert all(after["limits"][name] >= limit for name, limit in before["limits"].items())
    assert await standing(stranger) == theirs
    again = await staff.http.post(path, json=wanted | {"coupon_code": None})
    assert (again.status_code, again.json()["code"]) == (409, "plan_unchanged")
