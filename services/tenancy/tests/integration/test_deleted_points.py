"""Who answers for an organization is told when restore points of it are deleted."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from common.ids import uuid7
from common.messaging import Envelope
from tenancy.domain.membership import Membership
from tenancy.domain.people import User
from tenancy.domain.roles import Role
from tenancy.testing import Tenancy, envelope

pytestmark = [pytest.mark.integration, pytest.mark.invariant("D72")]


def deleted(tenant: UUID, by: UUID, at: datetime, count: int = 1) -> Envelope:
    data = {
        "restore_point_ids": [str(uuid7()) for _ in range(count)],
        "vm_id": str(uuid7()),
        "deleted_by": str(by),
        "deleted_at": at.isoformat(),
        "undo_until": (at + timedelta(days=7)).isoformat(),
        "a_later_field": 1,
    }
    return envelope("backup-engine", "points.deleted.v1", tenant, data)


async def joined(tenancy: Tenancy, tenant: UUID, role: Role) -> User:
    person = await tenancy.person(name=f"Un {role}")
    async with tenancy.store.for_tenant(tenant) as uow:
        member = Membership(tenant, person.id, role, person.email, person.full_name, tenancy.clock.now())
        await uow.memberships.add(member)
    return person


async def letters(tenancy: Tenancy, person: User) -> list[str]:
    return [mail.body_text for mail in await tenancy.mails_to(person.email) if "restauration supprimés" in mail.subject]


async def test_owner_and_admins_are_told_once_who_deleted_and_until_when_it_is_undone(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    admin, member, viewer = [await joined(tenancy, tenant, role) for role in (Role.ADMIN, Role.MEMBER, Role.VIEWER)]
    stranger, _other = await tenancy.owned()
    fact = deleted(tenant, admin.id, datetime.fromisoformat("2026-11-23T10:00:00+00:00"), count=3)
    await tenancy.receive(fact, fact)
    for person in (owner, admin):
        (text,) = await letters(tenancy, person)
        assert f"{admin.full_name} a supprimé 3 points de restauration" in text
        assert "Jusqu'au 30/11/2026" in text
    assert [await letters(tenancy, person) for person in (member, viewer, stranger)] == [[], [], []]


async def test_each_deletion_is_told_and_a_key_has_no_name(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    at = datetime.fromisoformat("2026-11-23T10:00:00+00:00")
    await tenancy.receive(deleted(tenant, uuid7(), at), deleted(tenant, uuid7(), at))
    texts = await letters(tenancy, owner)
    assert len(texts) == 2
    assert all("Une clé d'API a supprimé 1 point de restauration" in text for text in texts)


async def test_a_deletion_that_overtakes_its_organization_waits(tenancy: Tenancy) -> None:
    early = deleted(uuid7(), uuid7(), tenancy.clock.now())
    await tenancy.receive(early)
    assert (await tenancy.inbox_row(early.id)).status == "pending"
