"""A random life as a whole: time passes, and after each step billing's books are compared with the plain ones."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

from billing.domain.plan import Method

from services.billing.tests.integration.lives.plain_rows import Attempt
from services.billing.tests.integration.lives.providers import Providers


class Life(Providers):
    """The customer, finance, both providers and time, all by one source of chance."""

    @property
    def acts(self) -> list[tuple[Callable[["Life"], Awaitable[None]], int]]:
        return ACTS + ([(Life.agree_to_renewal, 6)] if self.coupons else [])

    async def janitor(self) -> None:
        await self.trouble()
        self.advance(timedelta(seconds=self.chance.choice([3, 20, 400, 1_000])))
        await self.ask()

    async def ask(self) -> None:
        if self.crowded:
            await self.billing.watch.ask_due()
        else:
            await self._ask_one_by_one()
        await self.billing.watch.handle_webhooks()
        await self.billing.tools.refunding.follow_due()
        await self.billing.tools.taking_back.follow_due()

    async def _ask_one_by_one(self) -> None:
        """What `Watch.ask_due` does, without two questions in flight."""
        rows = await self.rows(
            "select id, method from payments where tenant_id = $1 and next_poll_at <= $2 order by id",
            t=self.tenant_id,
            n=self.billing.clock.now(),
        )
        for row in self.chance.sample(rows, len(rows)):
            if await self.billing.checkout.claim(row["id"], Method(row["method"])) is not None:
                await self.billing.checkout.ask(self.tenant_id, row["id"])

    async def days_pass(self) -> None:
        self.advance(timedelta(hours=self.chance.choice([1, 20, 24 * 4, 24 * 9, 24 * 20]) if self.is_owner else 1))
        await self.billing.calendar.run_due()
        self.note("the calendar is looked at")
        await self._learn_renewals()
        self.books.look_at_the_calendar()

    def advance(self, by: timedelta) -> None:
        self.billing.clock.advance(by)
        self.books.pass_time(self.billing.clock.now())

    async def learn(self) -> None:
        """Tell the plain books what billing has taken in since the last look, in its order, if it is true."""
        tenant = self.tenant_id
        receipts = await self.rows(
            "select id, receipt_reference, settled_minor, provider_reference from payments where tenant_id = $1",
            t=tenant,
        )
        self._receipts = {str(row["id"]): row["receipt_reference"] for row in receipts}
        settled = {str(row["id"]): row["settled_minor"] for row in receipts}
        references = {str(row["id"]): row["provider_reference"] for row in receipts}
        entries = await self.rows(
            "select kind, source_id, turn from ledger_entries e join lives.commits c on c.xid = e.xmin::text"
            " where tenant_id = $1 and kind in ('payment', 'refund', 'credit_used') and turn > $2"
            " order by turn, kind desc",
            t=tenant,
            s=self.seen,
        )
        for entry in entries:
            self.seen = max(self.seen, entry["turn"])
            source = str(entry["source_id"])
            if entry["kind"] == "payment":
                attempt = self.books.attempts[source]
                self._is_true(attempt, references[source])
                self.note(f"taken in {source[-6:]}")
                self.books.take_in(attempt, settled[source] if attempt.method == "bank_transfer" else None)
            elif entry["kind"] == "refund":
                await self._learn_refund(source)
            elif not (self.books.purchases[source].settled or self.books.purchases[source].by_credit):
                self.note(f"renewed by credit {source[-6:]}")
                assert self.books.auto_renew, (self.books.credit, self.books.purchases[source])
                assert self.books.pay_by_credit(self.books.purchases[source])
        for row in await self.rows(
            "select id from refunds where tenant_id = $1 and status in ('rejected', 'failed')", t=tenant
        ):
            if (back := self.books.returns.pop(str(row["id"]), None)) is not None:
                self.note(f"refund {str(row['id'])[-6:]} has come to nothing")
                self.books.count(back, -1)
        for row in await self.rows(
            "select reference, status from disputes where tenant_id = $1 order by opened_at, id", t=tenant
        ):
            if self.books.against_us.get(row["reference"]) != row["status"]:
                self.note(f"dispute {row['reference']} {row['status']}")
                self.books.dispute(row["reference"], row["status"])

    def _is_true(self, attempt: Attempt, reference: str) -> None:
        if attempt.method == "mtn_momo":
            assert self.mtn_said[reference] == "SUCCESSFUL"
        elif attempt.method == "paypal":
            _, capture = self.store.captures[self._receipts[attempt.id]]
            assert int(capture.value * 100) == attempt.charged
        else:
            assert attempt.method == "bank_transfer"

    async def _learn_refund(self, refund_id: str) -> None:
        row = (await self.rows("select * from refunds where id = $1", id=UUID(refund_id)))[0]
        back = self.books.returns.get(refund_id)
        reversed_ = row["reason"] == "reversal"
        if back is None:
            attempt = self.books.attempts[str(row["payment_id"])]
            back = self.books.ask_back(attempt, row["amount_minor"], has_left=True)
            assert back is not None
            assert row["channel"] == "elsewhere"
            self.books.count(back)
        self.note(f"gone back {refund_id[-6:]} {row['channel']} {row['reason']}")
        self.books.give_back(back, keeps_period=reversed_)

    async def compare(self) -> None:
        books, tenant = self.books, self.tenant_id
        ledger = await self.rows(
            "select account, currency, sum(amount_minor)::bigint as amount from ledger_postings where tenant_id = $1"
            " group by account, currency",
            t=tenant,
        )
        said = {(row["account"], row["currency"]): row["amount"] for row in ledger if row["amount"]}
        assert said == (expected := books.accounts()), (
            said.items() - expected.items(),
            expected.items() - said.items(),
        )
        sums: dict[str, int] = {}
        for row in ledger:
            sums[row["currency"]] = sums.get(row["currency"], 0) + row["amount"]
        assert set(sums.values()) <= {0}
        spans = await self.rows(
            "select order_id, starts_at, ends_at, replaced_at from subscription_periods where tenant_id = $1", t=tenant
        )
        slack = timedelta(microseconds=1)
        there = {str(row["order_id"]): (row["starts_at"], row["ends_at"], row["replaced_at"]) for row in spans}
        assert set(there) == {span.purchase.id for span in books.spans}
        for span in books.spans:
            starts, ends, struck = there[span.purchase.id]
            assert (starts, struck) == (span.starts, span.struck_at)
            assert abs(ends - span.ends) <= slack
        documents = await self.rows(
            "select 'i' as kind, total_minor from invoices where tenant_id = $1"
            " union all select 'c', total_minor from credit_notes where tenant_id = $1",
            t=tenant,
        )
        assert sorted(row["total_minor"] for row in documents if row["kind"] == "i") == sorted(books.invoices)
        assert sorted(row["total_minor"] for row in documents if row["kind"] == "c") == sorted(books.notes)
        assert all(purchase.noted <= purchase.total for purchase in books.purchases.values())
        rows = await self.rows(
            "select status, reason, ends_at, (plan->>'id')::int as plan, cancel_at_period_end from subscriptions"
            " where tenant_id = $1",
            t=tenant,
        )
        stands = [tuple(row.values()) for row in rows]
        expected = (books.status, books.reason, books.ends, books.plan, books.cancelled)
        assert stands == ([expected] if books.status else [])

    async def provision(self) -> None:
        first = next(iter(self.books.purchases.values()))
        if first.settled and not self.is_owner:
            await self.billing.provision({"id": first.id, "customer_name": "Entreprise XYZ"})
            self.customer = self.billing.client(user_id=self.me, tenant_id=self.tenant_id, roles=["owner"])
            self.is_owner = True

    async def step(self) -> None:
        (act,) = self.chance.choices([act for act, _ in self.acts], [weight for _, weight in self.acts])
        self.advance(timedelta(seconds=1))
        await act(self)
        await self.learn()
        await self.compare()
        await self.provision()

    async def come_to_rest(self) -> None:
        """Providers answer again; within a day of questions every franc that they took is in the books."""
        await self.quiet()
        for _ in range(8):
            self.advance(timedelta(minutes=16))
            await self.ask()
            await self.learn()
        await self.compare()
        rows = await self.rows("select * from payments where tenant_id = $1", t=self.tenant_id)
        taken = {str(row["id"]) for row in rows if row["status"] in {"completed", "refunded"}}
        assert taken == {attempt.id for attempt in self.books.attempts.values() if attempt.taken}
        captured = {
            order.unit["custom_id"] for order, capture in self.store.captures.values() if capture.status != "DECLINED"
        }
        assert captured & set(self.books.attempts) == {
            one for one in taken if self.books.attempts[one].method == "paypal"
        }
        paid = {
            str(row["id"])
            for row in rows
            if row["method"] == "mtn_momo" and self.mtn_said.get(row["provider_reference"]) == "SUCCESSFUL"
        }
        assert paid == {one for one in taken if self.books.attempts[one].method == "mtn_momo"}


ACTS: list[tuple[Callable[[Life], Awaitable[None]], int]] = [
    (Life.buy, 14),
    (Life.place_order, 4),
    (Life.pay, 8),
    (Life.decide, 8),
    (Life.verify, 6),
    (Life.deliver, 6),
    (Life.call_back, 5),
    (Life.janitor, 10),
    (Life.check_transfer, 8),
    (Life.cancel_order, 2),
    (Life.steer, 2),
    (Life.refund, 5),
    (Life.decide_refund, 5),
    (Life.record_refund, 4),
    (Life.lift_dispute, 3),
    (Life.complain, 3),
    (Life.forge, 2),
    (Life.days_pass, 8),
]
