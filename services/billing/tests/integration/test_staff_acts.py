"""What finance does that belongs to no organization is sealed in billing's own chain, as an organization's acts are."""

from typing import Any
from uuid import UUID

import pytest
from billing.testing import Billing
from common.audit import Fault, Sealer, verify
from common.audit.sealer import PLATFORM
from common.ids import uuid7

pytestmark = pytest.mark.integration


async def platform_fault(billing: Billing) -> Fault | None:
    _read, faults = await verify(billing.store)
    return next((fault for fault in faults if fault.chain == PLATFORM), None)


async def sealed_acts(billing: Billing, actor: UUID) -> list[Any]:
    await Sealer(billing.store).seal()
    return await billing.rows("select * from audit_log where actor = $1 order by number", a=str(actor))


async def test_what_finance_did_is_sealed_and_a_change_of_it_shows(billing: Billing) -> None:
    me = uuid7()
    finance = billing.client(user_id=me, staff=["finance"])
    assert (await finance.get("/api/admin/coupons/")).status_code == 200
    wanted = {"code": f"A{me.hex[-12:]}".upper(), "percent": "10", "reason": "a partner's customers"}
    made = await finance.post("/api/admin/coupons/", json=wanted)
    assert made.status_code == 201, made.text
    acts = await sealed_acts(billing, me)
    assert [(act["action"], act["reason"], act["tenant_id"]) for act in acts] == [
        ("coupons.listed_by_staff", "a test", None),
        ("coupon.created", "a partner's customers", None),
    ]
    assert acts[1]["number"] == acts[0]["number"] + 1
    assert await platform_fault(billing) is None
    change = "update audit_log set actor = $1 where id = $2"
    async with billing.superuser() as database:
        await database.execute("alter table audit_log disable trigger user")
        try:
            await database.execute(change, str(uuid7()), acts[1]["id"])
            fault = await platform_fault(billing)
        finally:
            await database.execute(change, str(me), acts[1]["id"])
            await database.execute("alter table audit_log enable trigger user")
    assert fault is not None
    assert (fault.number, fault.row) == (acts[1]["number"], acts[1]["id"])
    assert await platform_fault(billing) is None
