"""The ledger's rows; the database checks at commit that each entry balances, and that none changes."""

from uuid import UUID

from common.clock import Clock
from common.ids import uuid7
from sqlalchemy import func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.ledger import Account, Entry, EntryKind
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

    async def posted(self, kind: EntryKind, source_id: UUID, account: str) -> list[Money]:
        """Return what an entry posted to an account, if it is booked."""
        rows = await self._session.execute(
            select(ledger_postings.c.amount_minor, ledger_postings.c.currency)
            .join(ledger_entries, ledger_entries.c.id == ledger_postings.c.entry_id)
            .where(
                ledger_entries.c.kind == kind,
                ledger_entries.c.source_id == source_id,
                ledger_postings.c.account == account,
            )
        )
        return [Money(row.amount_minor, row.currency) for row in rows]

    async def credit(self, currency: str) -> Money:
        """Return the customer's credit as it is now; nobody is kept from spending it."""
        owed = next((of for of in await self.balances(Account.CUSTOMER_CREDIT) if of.currency == currency), None)
        return -owed if owed is not None else Money.zero(currency)

    async def hold_credit(self, tenant_id: UUID, currency: str) -> Money:
        """Return the customer's credit and let nobody else spend of it until this transaction ends.

        Taken after order and payment, before the subscription.
        """
        key = func.hashtextextended(f"{tenant_id}:credit", 0)
        await self._session.execute(select(func.pg_advisory_xact_lock(key)))
        return await self.credit(currency)
