"""One transaction of billing with its repositories."""

from uuid import UUID

from common.clock import Clock
from common.persistence import Scope, Store, Transaction
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.tries import PROMPT_WINDOW, WINDOW
from billing.persistence.cases import Cases
from billing.persistence.catalogue import Catalogue
from billing.persistence.coupons import Coupons
from billing.persistence.credit_notes import CreditNotes
from billing.persistence.disputes import Disputes
from billing.persistence.invoices import Invoices
from billing.persistence.ledger import Ledger
from billing.persistence.orders import Orders
from billing.persistence.organizations import Organizations
from billing.persistence.particulars import OrganizationParticulars
from billing.persistence.payments import Payments
from billing.persistence.polling import Hints, Polling
from billing.persistence.receipts import Receipts
from billing.persistence.reconciliations import Reconciliations
from billing.persistence.refunds import DueRefunds, Refunds
from billing.persistence.revenue import RevenueFigures
from billing.persistence.statements import Statements
from billing.persistence.subscriptions import Subscriptions
from billing.persistence.tables import coupon_tries, payment_prompts
from billing.persistence.tries import Tries
from billing.persistence.usage import UsageFigures
from billing.persistence.webhooks import WebhookEvents


class UnitOfWork(Transaction):
    """What a use case may touch; which rows it sees is the door's business."""

    source = "billing"

    def __init__(self, session: AsyncSession, scope: Scope, clock: Clock) -> None:
        super().__init__(session, scope, clock)
        self.catalogue = Catalogue(session)
        self.coupons = Coupons(session, clock)
        self.coupon_tries = Tries(session, clock, coupon_tries, WINDOW)
        self.payment_prompts = Tries(session, clock, payment_prompts, PROMPT_WINDOW)
        self.cases = Cases(session, clock)
        self.receipts = Receipts(session, clock)
        self.hints = Hints(session, clock)
        self.invoices = Invoices(session)
        self.ledger = Ledger(session, clock)
        self.orders = Orders(session, clock)
        self.organizations = Organizations(session, clock)
        self.particulars = OrganizationParticulars(session)
        self.credit_notes = CreditNotes(session)
        self.payments = Payments(session, clock)
        self.refunds = Refunds(session, clock)
        self.disputes = Disputes(session, clock)
        self.reconciliations = Reconciliations(session, clock)
        self.revenue = RevenueFigures(session, clock)
        self.due_refunds = DueRefunds(session, clock)
        self.polling = Polling(session, clock)
        self.statements = Statements(session, clock)
        self.subscriptions = Subscriptions(session, clock)
        self.usage = UsageFigures(session)
        self.webhooks = WebhookEvents(session, clock)

    async def serialize(self, user_id: UUID) -> None:
        """Let one transaction of a person pass at a time from here on, until this one ends."""
        await self.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(str(user_id), 0))))


BillingStore = Store[UnitOfWork]
