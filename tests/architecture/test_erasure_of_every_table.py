"""What becomes of each table when an organization is deleted is decided, and happens (S13)."""

import importlib
import json

import asyncpg
import pytest
from common.clock import SystemClock
from common.persistence import Store
from common.persistence.erasure import Eraser, ErasurePlan
from common.persistence.leftovers import find_leftovers
from common.persistence.transaction import Transaction
from devstack.members import Member

pytestmark = pytest.mark.integration


def plan_of(member: Member) -> ErasurePlan:
    plan: ErasurePlan = importlib.import_module(f"{member.module}.persistence.erasure").PLAN
    return plan


def test_it_is_decided_for_every_table_with_a_tenant_whether_it_is_deleted_emptied_or_kept(member: Member) -> None:
    metadata = importlib.import_module(f"{member.module}.persistence.tables").metadata
    with_tenant = {name for name, table in metadata.tables.items() if "tenant_id" in table.c}
    plan = plan_of(member)
    assert with_tenant <= plan.tables
    deleted = {target.table for target in plan.targets if target.empty is None}
    assert not deleted & set(plan.kept)
    assert all(len(reason) > 20 for reason in plan.kept.values())


@pytest.mark.invariant("S13")
async def test_of_a_deleted_organization_nothing_is_left_but_what_is_meant_to_stay(filled, member: Member) -> None:
    database, gone, stays = filled
    before = await find_leftovers(database.admin_url, stays)
    assert len(before) > 8
    assert set(await find_leftovers(database.admin_url, gone)) == set(before)
    doors = database.open()
    unit = type("Unit", (Transaction,), {"source": member.name})
    try:
        store = Store(doors, unit, SystemClock())
        eraser = Eraser(store, plan_of(member))
        first, second = await eraser.erase(gone), await eraser.erase(gone)
    finally:
        await doors.close()
    assert first
    assert second == {}
    kept = plan_of(member).kept
    assert set(await find_leftovers(database.admin_url, gone)) <= set(kept)
    assert await find_leftovers(database.admin_url, stays) == before
    admin = await asyncpg.connect(database.admin_url)
    try:
        finished = await admin.fetch("select tenant_id, report from erasures where finished_at is not null")
    finally:
        await admin.close()
    assert [row["tenant_id"] for row in finished] == [gone]
    assert json.loads(finished[0]["report"]) == first
