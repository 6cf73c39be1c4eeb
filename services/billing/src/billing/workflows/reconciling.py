"""Once a day, compare each provider with our rows and our ledger; a difference is a case for a person.

Every payment that completed or was refunded on the day is asked about by its reference, within the provider's budget;
where the provider has a list of its own, each movement in it must be one of ours. A run that was cut off is begun
again, and what it found before is found again once.
"""

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta

from common.clock import Clock

from billing.domain.ledger import Account, EntryKind
from billing.domain.money import Money
from billing.domain.plan import Method
from billing.domain.reconciliation import Ours, Row, Said, differences
from billing.persistence.unit_of_work import BillingStore, UnitOfWork
from billing.ports import ListingProvider, PaymentProvider, ProviderError, ProviderState, ProviderStatus
from billing.workflows.budget import Budget
from billing.workflows.checkout import view_of

log = logging.getLogger(__name__)

SETTLES = timedelta(hours=4)
"""How long after the end of a day its list is asked for: PayPal's is up to three hours late
(https://developer.paypal.com/docs/api/transaction-search/v1/)."""

BUDGET_PAUSE = timedelta(milliseconds=200)
"""Until the budget is asked again; customers' questions go first."""


class Reconciling:
    """The providers of this deployment, and the day's comparison with each.

    Args:
        store: The three doors.
        providers: By method.
        listings: Those of them that have a list of their own.
        clock: The time.
        budget: How often providers are asked.
    """

    def __init__(
        self,
        store: BillingStore,
        providers: Mapping[Method, PaymentProvider],
        listings: Mapping[Method, ListingProvider],
        clock: Clock,
        budget: Budget,
    ) -> None:
        self._store = store
        self._providers = providers
        self._listings = listings
        self._clock = clock
        self._budget = budget

    async def run_due(self) -> int:
        """Compare the last whole day with every provider, where that is not done yet; returns the differences found."""
        day = (self._clock.now() - SETTLES).date() - timedelta(days=1)
        found = 0
        for method in self._providers:
            try:
                found += await self.run(method, day)
            except ProviderError as error:
                log.warning("reconciliation cut off", extra={"provider": method.value, "code": error.code})
        return found

    async def run(self, method: Method, day: date) -> int:
        """Compare one day with one provider; a day that is finished is not compared again.

        Returns:
            How many differences there are.

        Raises:
            ProviderError: It does not answer; the day is begun again later.
        """
        since = datetime.combine(day, time.min, UTC)
        until = since + timedelta(days=1)
        async with self._store.for_system("janitor") as uow:
            if not await uow.reconciliations.begin(method, day):
                return 0
            rows = await uow.reconciliations.rows(method, since, until)
        found = 0
        for row in rows:
            found += await self._compare(method, row, day)
        unmatched = await self._compare_list(method, since, until)
        found += unmatched or 0
        async with self._store.for_system("janitor") as uow:
            await uow.reconciliations.finish(
                method,
                day,
                checked=len(rows),
                differences=found,
                is_listed=unmatched is not None,
            )
        if found:
            log.error("reconciliation differs", extra={"provider": method.value, "differences": found})
        return found

    async def _spend(self, method: Method) -> None:
        while True:
            async with self._store.for_system("janitor") as uow:
                if await self._budget.spend(uow, method):
                    return
            await asyncio.sleep(BUDGET_PAUSE.total_seconds())

    async def _compare(self, method: Method, row: Row, day: date) -> int:
        await self._spend(method)
        async with self._store.for_tenant(row.tenant_id) as uow:
            payment = await uow.payments.find(row.payment_id)
            assert payment is not None
            order = await uow.orders.find(payment.order_id)
            assert order is not None
        state = await self._providers[method].observe(view_of(payment, order))
        async with self._store.for_tenant(row.tenant_id) as uow:
            locked = await uow.orders.lock(payment.order_id)
            assert locked is not None
            current = await uow.payments.lock(payment.id)
            assert current is not None
            assert current.settled is not None
            ours = await _ours(uow, row, current.settled, current.receipt_reference, method)
            differs = differences(_said(state), ours)
            if differs:
                details = {
                    "day": day.isoformat(),
                    "differs": differs,
                    "said": state.provider_status,
                    "said_amount": str(state.amount),
                    "said_refunded": str(state.refunded),
                    "settled": str(ours.settled),
                    "refunded": str(ours.refunded),
                    "cleared": str(ours.cleared),
                }
                await uow.cases.open(current, "reconciliation", details, reference=day.isoformat())
        return bool(differs)

    async def _compare_list(self, method: Method, since: datetime, until: datetime) -> int | None:
        """Return how many of the provider's movements are not ours; ``None`` where it has no list for us."""
        listing = self._listings.get(method)
        if listing is None:
            return None
        try:
            await self._spend(method)
            movements = await listing.movements(since, until)
        except ProviderError as error:
            if not error.needs_operator:
                raise
            # The list is a right of its own that an account may lack; asking row by row has gone on without it.
            log.warning("no list of movements", extra={"provider": method.value, "code": error.code})
            return None
        unmatched = 0
        async with self._store.for_system("janitor") as uow:
            for movement in movements:
                if not await uow.reconciliations.is_known(movement):
                    unmatched += 1
                    await uow.reconciliations.keep_unmatched(movement, since.date())
        return unmatched


def _said(state: ProviderState) -> Said:
    return Said(
        completed=state.status is ProviderStatus.COMPLETED,
        amount=state.amount,
        receipt_reference=state.receipt_reference,
        refunded=state.refunded,
    )


async def _ours(uow: UnitOfWork, row: Row, settled: Money, receipt: str | None, method: Method) -> Ours:
    zero = Money.zero(settled.currency)
    account = f"{Account.CLEARING}:{method}"
    cleared = sum(await uow.ledger.posted(EntryKind.PAYMENT, row.payment_id, account), zero)
    for refund in await uow.refunds.of_payment(row.payment_id):
        cleared = sum(await uow.ledger.posted(EntryKind.REFUND, refund.id, account), cleared)
    refunded = Money(await uow.refunds.completed_of(row.payment_id), settled.currency)
    return Ours(settled=settled, receipt_reference=receipt, refunded=refunded, cleared=cleared)
