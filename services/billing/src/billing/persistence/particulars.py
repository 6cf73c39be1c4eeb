"""Who organizations are on their invoices, as tenancy last told: for what an order leaves empty."""

from dataclasses import asdict, fields
from uuid import UUID

from common.persistence.mechanisms import erasures
from sqlalchemy import exists, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.order import Customer
from billing.domain.particulars import Particulars
from billing.persistence.tables import organization_particulars


class OrganizationParticulars:
    """The particulars of the transaction's tenant."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def known(self, tenant_id: UUID) -> Particulars | None:
        """Return what was last told; ``None`` where nothing was yet, or the organization is erased."""
        found = select(organization_particulars).where(organization_particulars.c.tenant_id == tenant_id)
        row = (await self._session.execute(found)).mappings().one_or_none()
        if row is None:
            return None
        return Particulars(Customer(**{one.name: row[one.name] for one in fields(Customer)}), row["stated_at"])

    async def learn(self, tenant_id: UUID, told: Particulars, version: int) -> bool:
        """Keep a state instead of an older one; an older one, or one of a deleted organization, changes nothing."""
        if await self._session.scalar(select(exists().where(erasures.c.tenant_id == tenant_id))):
            return False
        values = asdict(told.customer) | {"version": version, "stated_at": told.stated_at}
        learned = await self._session.execute(
            insert(organization_particulars)
            .values(tenant_id=tenant_id, **values)
            .on_conflict_do_update(
                index_elements=["tenant_id"], set_=values, where=organization_particulars.c.version <= version
            )
            .returning(organization_particulars.c.tenant_id)
        )
        return learned.one_or_none() is not None
