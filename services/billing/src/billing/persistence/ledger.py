"""The ledger's rows; the database checks at commit that each entry balances, and that none changes."""

from uuid import UUID

from common.clock import Clock
from common.ids import uuid7
from sqlalchemy import func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.ledger import Entry
from billing.domain.money import Money
from billing.persistence.tables import ledger_entries, ledger_postings


class Ledger:
    """Entries of the transaction's tenant."""

    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    async def book(self, tenant_id: UUID, entry: Entry) -> bool:
        """Book an entry; one with the same kind and source is booked already and changes nothing."""
        entry_id = uuid7()
        inserted = await self._session.execute(
            upsert(ledger_entries)
            .values(
                tenant_id=tenant_id,
                id=entry_id,
                kind=entry.kind,
                source_id=entry.source_id,
                booked_at=self._clock.now(),
            )
            .on_conflict_do_nothing()
            .returning(ledger_entries.c.id)
        )
        if inserted.one_or_none() is None:
            return False
        postings = [posting for posting in entry.postings if posting.amount]
        await self._session.execute(
            insert(ledger_postings),
            [
                {
                    "tenant_id": tenant_id,
                    "entry_id": entry_id,
                    "position": position,
                    "account": posting.account,
                    "amount_minor": posting.amount.amount_minor,
                    "currency": posting.amount.currency,
                }
                for position, posting in enumerate(postings, start=1)
            ],
        )
        return True

    async def balances(self, account: str) -> list[Money]:
        """Return an account's balance per currency; debits are positive."""
        rows = await self._session.execute(
            select(ledger_postings.c.currency, func.sum(ledger_postings.c.amount_minor).label("balance"))
            .where(ledger_postings.c.account == account)
            .group_by(ledger_postings.c.currency)
            .order_by(ledger_postings.c.currency)
        )
        return [Money(int(row.balance), row.currency) for row in rows]
