"""Random lives of a customer between two unreliable providers, against books that are kept in plain Python.

Webhooks and callbacks are lost, late, repeated, out of order and forged; requests and answers get lost; customer,
finance and time do what they like. After each step the ledger is zero and says, with the periods, the subscription,
the invoices and credit notes, what the plain books say; at the end every franc that a provider took is in them.

A seed makes the same life again: `LIVES_SEEDS="17 18" pytest …` plays two, `LIVES_STEPS` says how long it is.
"""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from billing.testing import ORDERS, PAYMENTS, Billing, order_body
from common.ids import uuid7
from common.testing import FrozenClock

from services.billing.tests.integration.lives.plain_books import Attempt, GivenBack, PlainBooks, Purchase, in_cents

pytestmark = pytest.mark.integration
START = datetime(2031, 1, 31, 9, tzinfo=UTC)
SUBSCRIPTION = "/api/tenants/subscription/"
SILENT = {"target": "delivery", "drop": "before"}
STEPS = int(os.environ.get("LIVES_STEPS", "40"))
SEEDS = [int(seed) for seed in os.environ.get("LIVES_SEEDS", "2 5").split()]
LONG_STEPS, LONG_SEEDS = 200, range(101, 121)


class Life:
    """The customer, finance, both providers and time, all by one source of chance."""

    def __init__(self, world: Any, billing: Billing, eye: Any, seed: int) -> None:
        self.world, self.billing, self.eye = world, billing, eye
        self.chance = random.Random(seed)
        self.me = uuid7()
        self.customer = billing.client(user_id=self.me)
        self.maker, self.checker = (billing.client(staff=["finance"]) for _ in range(2))
        self.front = billing.client(anonymous=True)
        self.tenant_id: UUID | None = None
        self.is_owner = False
        self.books: PlainBooks
        self.by_hand: dict[str, GivenBack] = {}
        self.asked: dict[str, GivenBack] = {}
        self.seen_xid = 0
        self.told: list[str] = []
        self.mtn_said: dict[str, str] = {}
        self._receipts: dict[str, str | None] = {}

    @property
    def store(self) -> Any:
        return self.world.paypal.paypal.store

    async def rows(self, statement: str, **values: Any) -> list[Any]:
        return [dict(row) for row in await self.eye.fetch(statement, *values.values())]

    def note(self, text: str) -> None:
        self.told.append(f"{self.billing.clock.now():%Y-%m-%d %H:%M:%S} {text}")

    async def begin(self) -> None:
        plans = (await self.customer.get("/api/tenants/plans/")).json()["results"]
        prices = {}
        for plan in plans:
            prices[plan["id"], 1], prices[plan["id"], 12] = int(plan["monthly_price"]), int(plan["yearly_price"])
        self.books = PlainBooks(self.billing.clock.now(), prices)
        await self.quiet()
        await self.place_order()

    async def quiet(self) -> None:
        for provider in (self.world.paypal, self.world.momo):
            await self.world.faults(provider, SILENT)

    async def trouble(self) -> None:
        """The next call of a provider goes wrong, or does not."""
        rule: dict[str, Any] = {"target": "request", "times": 1}
        rule |= self.chance.choice([{"drop": "before"}, {"drop": "after"}, {"status": 503}])
        provider, path = self.chance.choice([(self.world.paypal, "/v2/*"), (self.world.momo, "/collection/v1_0/*")])
        rule["match"] = {"path": path}
        if self.chance.random() < 0.35:
            await self.world.faults(provider, SILENT, rule)
            self.note(f"trouble ahead {rule}")

    # --- the customer ------------------------------------------------------------------------------------------

    async def place_order(self) -> None:
        if self.tenant_id is not None and not self.is_owner:
            return
        plan, cycle = self.chance.choice([1, 2, 2, 3]), self.chance.choice(["monthly", "monthly", "yearly"])
        at_once = self.chance.random() < 0.3
        wish = {"plan_id": plan, "billing_cycle": cycle} | ({"effective": "now"} if at_once else {})
        answer = await self.customer.post(ORDERS, json=order_body(**wish))
        said = answer.json()
        self.note(f"order {plan} {cycle}: {answer.status_code} {said.get('code') or said['total_amount']}")
        if answer.status_code != 201:
            assert answer.status_code in {409, 422}
            return
        if self.tenant_id is None:
            rows = await self.rows("select tenant_id from orders where id = $1", id=UUID(said["id"]))
            self.tenant_id = rows[0]["tenant_id"]
        if said["id"] not in self.books.purchases:
            self.add(said, plan, 12 if cycle == "yearly" else 1, at_once=at_once)

    def add(self, said: dict[str, Any], plan: int, months: int, *, at_once: bool = False) -> None:
        made_now = datetime.fromisoformat(said["created_at"]) == self.books.now
        purchase = Purchase(
            id=said["id"],
            kind=said["kind"],
            plan=plan,
            months=months,
            total=int(said["total_amount"]),
            credit=int(said.get("credit_amount") or 0),
            placed_at=datetime.fromisoformat(said["created_at"]),
            scheduled=bool(said.get("effective_at")) and said["kind"] == "change",
        )
        if made_now and purchase.kind == "change":
            scheduled = self.books.waits(plan, at_once=at_once)
            unused, purchase.replaces = (0, []) if scheduled else self.books.unused()
            given = min(unused, self.books.prices[plan, months])
            assert (purchase.credit, purchase.scheduled) == (given, scheduled)
            purchase.unspent = unused - given
        assert purchase.total == self.books.prices[plan, months] - purchase.credit
        self.books.place(purchase, made_now=made_now)

    def some(self, *, settled: bool = False) -> Purchase | None:
        found = [one for one in self.books.purchases.values() if one.settled is settled][-3:]
        return self.chance.choice(found) if found else None

    async def pay(self) -> None:
        purchase = self.some()
        if purchase is None:
            return
        await self.trouble()
        method = self.chance.choice([1, 2, 3])
        body: dict[str, Any] = {"payment_method_id": method}
        if method == 1:
            body |= {"return_url": "https://myapp.com/ok", "cancel_url": "https://myapp.com/no"}
        if method == 2:
            body["phone_number"] = "46733123454"
        known = (await self.customer.get(f"{ORDERS}{purchase.id}/")).json()["status"]
        answer = await self.customer.post(f"{ORDERS}{purchase.id}/initiate_payment/", json=body)
        self.note(f"pay {purchase.id[-6:]} {known} by {method}: {answer.status_code} {answer.json().get('code')}")
        assert answer.status_code in {200, 409, 503}, answer.text
        if known in {"pending", "payment_pending", "failed"} and self.books.pay_by_credit(purchase):
            assert answer.json()["code"] == "order_paid_by_credit"
            return
        assert answer.json().get("code") != "order_paid_by_credit"
        if answer.status_code == 200:
            assert not self.books.outdated(purchase)
        await self._learn_attempts()

    async def _learn_attempts(self) -> None:
        rows = await self.rows("select * from payments where tenant_id = $1 order by id", t=self.tenant_id)
        for row in rows:
            if str(row["id"]) not in self.books.attempts:
                purchase = self.books.purchases[str(row["order_id"])]
                assert row["amount_minor"] == self.books.asks_for(purchase)
                euros = row["charged_currency"] == "EUR"
                charged = in_cents(row["amount_minor"]) if euros else row["amount_minor"]
                assert row["charged_minor"] == charged
                self.books.attempts[str(row["id"])] = Attempt(
                    str(row["id"]), purchase, row["method"], row["amount_minor"], charged, row["charged_currency"]
                )

    async def decide(self) -> None:
        """The payer says yes or no, at a provider that knows of the payment."""
        rows = await self.rows(
            "select id, method, provider_reference from payments where tenant_id = $1 and method <> 'bank_transfer'"
            " and provider_reference is not null order by id desc limit 2",
            t=self.tenant_id,
        )
        if not rows:
            return
        row = self.chance.choice(rows)
        agrees = self.chance.random() < 0.8
        self.note(f"payer of {str(row['id'])[-6:]} by {row['method']} says {'yes' if agrees else 'no'}")
        if row["method"] == "paypal":
            await self.world.http.post(
                f"{self.world.paypal.url}/checkoutnow?token={row['provider_reference']}",
                data={"decision": "approve" if agrees else "cancel"},
            )
            return
        body = {"reference": row["provider_reference"], "status": "SUCCESSFUL" if agrees else "FAILED"}
        answer = await self.world.http.post(f"{self.world.momo.url}/_sim/decide", json=body)
        if answer.status_code == 200:
            self.mtn_said[body["reference"]] = body["status"]

    async def verify(self) -> None:
        for purchase in list(self.books.purchases.values())[-2:]:
            await self.trouble()
            answers = await asyncio.gather(
                *(
                    self.customer.post(f"{ORDERS}{purchase.id}/verify_payment/")
                    for _ in range(self.chance.choice([1, 3]))
                )
            )
            assert {answer.status_code for answer in answers} == {200}

    async def cancel_order(self) -> None:
        # His first order: without it there is no life.
        if self.is_owner and (purchase := self.some()) is not None:
            answer = await self.customer.post(f"{ORDERS}{purchase.id}/cancel/")
            self.note(f"cancel {purchase.id[-6:]}: {answer.status_code}")
            assert answer.status_code in {200, 409}

    async def steer(self) -> None:
        if not self.is_owner:
            return
        cancel = self.chance.random() < 0.5
        answer = await self.customer.post(f"{SUBSCRIPTION}{'cancel' if cancel else 'resume'}/")
        self.note(f"subscription {'cancel' if cancel else 'resume'}: {answer.status_code}")
        assert answer.status_code == (409 if self.books.status == "ended" else 200), answer.text
        if answer.status_code == 200:
            self.books.cancelled = cancel

    async def buy(self) -> None:
        """What most customers do: order, pay, agree, wait; some pay by two ways, and both bring money."""
        await self.place_order()
        for _ in range(self.chance.choice([1, 1, 2])):
            await self.pay()
            for act in (Life.decide, Life.check_transfer, Life.janitor):
                await act(self)
                await self.learn()

    # --- finance -----------------------------------------------------------------------------------------------

    async def check_transfer(self) -> None:
        waiting = [
            attempt
            for attempt in self.books.attempts.values()
            if attempt.method == "bank_transfer" and not attempt.taken
        ]
        if not waiting:
            return
        attempt = self.chance.choice(waiting[-2:])
        arrived = self.chance.choice([attempt.due, attempt.due, attempt.due // 2, attempt.due + 5_000])
        approve = self.chance.random() < 0.85
        body = {"approve": approve, "note": "seen at the bank"} | ({"amount": str(arrived)} if approve else {})
        answers = await asyncio.gather(
            *(client.post(f"{PAYMENTS}{attempt.id}/verify_bank_transfer/", json=body) for client in self.finance())
        )
        codes = sorted(answer.status_code for answer in answers)
        self.note(f"transfer {attempt.id[-6:]} {arrived if approve else 'rejected'}: {codes}")
        assert codes in ([200, 409], [409, 409])

    def finance(self) -> tuple[Any, Any]:
        return self.maker, self.checker

    async def refund(self) -> None:
        taken = [attempt for attempt in self.books.attempts.values() if attempt.taken]
        if not taken:
            return
        attempt = self.chance.choice(taken[-3:])
        amount = self.chance.choice([None, None, max(attempt.left // 3, 1), attempt.left + 1])
        back = self.books.ask_back(attempt, amount)
        text = (
            None
            if amount is None
            else (str(amount) if attempt.currency == "XAF" else f"{amount // 100}.{amount % 100:02}")
        )
        body = {"reason": "a test of chance"} | ({"amount": text} if text else {})
        answer = await self.maker.post(f"/api/admin/payments/{attempt.id}/refunds/", json=body)
        self.note(f"refund of {attempt.id[-6:]} {text}: {answer.status_code} {answer.json().get('code')}")
        assert answer.status_code == (201 if back else 409), (answer.text, attempt)
        if back is None:
            return
        said = answer.json()
        assert (int(said["from_order"]), int(said["from_credit"])) == (back.from_purchase, back.from_credit)
        self.books.returns[said["id"]] = back
        self.books.count(back)
        self.asked[said["id"]] = back

    async def decide_refund(self) -> None:
        if not self.asked:
            return
        refund_id = self.chance.choice(list(self.asked))
        back = self.asked.pop(refund_id)
        assert (await self._refund(self.maker, refund_id, "approve")).status_code == 403
        if self.chance.random() < 0.2:
            assert (await self._refund(self.checker, refund_id, "reject")).status_code == 200
            self.note(f"refund {refund_id[-6:]} rejected")
            return
        await self.trouble()
        answer = await self._refund(self.checker, refund_id, "approve")
        assert answer.status_code == 200, answer.text
        self.note(f"refund {refund_id[-6:]} approved {answer.json()['channel']} {answer.json()['status']}")
        if answer.json()["channel"] == "by_hand":
            self.by_hand[refund_id] = back

    async def _refund(self, client: Any, refund_id: str, verb: str, **more: str) -> Any:
        return await client.post(f"/api/admin/refunds/{refund_id}/{verb}/", json={"reason": "a test"} | more)

    async def record_refund(self) -> None:
        if self.by_hand:
            refund_id = self.chance.choice(list(self.by_hand))
            del self.by_hand[refund_id]
            answers = [await self._refund(self.maker, refund_id, "record", reference=uuid4().hex) for _ in range(2)]
            assert [answer.status_code for answer in answers] == [200, 409]
            self.note(f"refund {refund_id[-6:]} recorded")

    # --- providers ---------------------------------------------------------------------------------------------

    async def deliver(self) -> None:
        """Some of PayPal's events arrive: old ones, new ones, several times, in any order."""
        events = list(self.world.paypal.paypal.webhooks.events.values())
        for event in self.chance.sample(events, min(len(events), self.chance.choice([1, 1, 3]))):
            await self._deliver(event, self.chance.choice([1, 1, 2]))
        await self.trouble()
        await self.billing.watch.handle_webhooks()

    async def _deliver(self, event: Any, times: int) -> None:
        headers = self.world.paypal.paypal.webhooks.headers(event.body, str(uuid4()))
        headers = {name.lower(): value for name, value in headers.items()} | {"content-type": "application/json"}
        answers = await asyncio.gather(
            *(self.front.post("/webhooks/paypal/", content=event.body, headers=headers) for _ in range(times))
        )
        self.note(f"webhook {event.type} {[answer.status_code for answer in answers]}")
        assert {answer.status_code for answer in answers} <= {200, 503}

    async def call_back(self) -> None:
        rows = await self.rows(
            "select callback_token from payments where tenant_id = $1 and callback_token is not null order by id",
            t=self.tenant_id,
        )
        if rows:
            token = self.chance.choice(rows)["callback_token"]
            await self.trouble()
            answers = await asyncio.gather(
                *(self.front.put(f"/webhooks/mtn-momo/{token}", json={}) for _ in range(self.chance.choice([1, 3])))
            )
            self.note(f"callback {[answer.status_code for answer in answers]}")

    async def forge(self) -> None:
        """Somebody says that all was paid."""
        rows = await self.rows("select * from payments where tenant_id = $1", t=self.tenant_id)
        for row in rows[-2:]:
            lie = {"status": "SUCCESSFUL", "amount": str(row["charged_minor"]), "currency": row["charged_currency"]}
            await self.front.put(f"/webhooks/mtn-momo/{row['callback_token'] or 'none'}", json=lie)
            event = {
                "id": f"WH-{uuid4()}",
                "event_type": "PAYMENT.CAPTURE.COMPLETED",
                "resource": {"custom_id": str(row["id"])},
            }
            answer = await self.front.post("/webhooks/paypal/", json=event)
            assert answer.status_code == 403
        self.note("forged news")

    async def complain(self) -> None:
        """The payer disputes, PayPal decides for us, or takes the money back; the news arrives, perhaps twice."""
        captures = [capture for _, capture in self.store.captures.values() if self._is_mine(capture)]
        if not captures:
            return
        capture = self.chance.choice(captures)
        disputes = [one for one in self.store.disputes.values() if one.outcome is None and self._is_mine(one.capture)]
        seen = set(self.world.paypal.paypal.webhooks.events)
        if disputes and self.chance.random() < 0.7:
            self.store.resolve(disputes[0], "RESOLVED_SELLER_FAVOUR")
        elif self.chance.random() < 0.6:
            self.store.dispute(capture, "MERCHANDISE_OR_SERVICE_NOT_RECEIVED")
        elif capture.value > capture.refunded:
            self.store.reverse(capture)
        else:
            return
        await self.quiet()
        for event_id, event in list(self.world.paypal.paypal.webhooks.events.items()):
            if event_id not in seen:
                await self._deliver(event, self.chance.choice([1, 2]))
        await self.billing.watch.handle_webhooks()

    def _is_mine(self, capture: Any) -> bool:
        return any(
            attempt.taken for attempt in self.books.attempts.values() if self._receipts.get(attempt.id) == capture.id
        )

    # --- time --------------------------------------------------------------------------------------------------

    async def janitor(self) -> None:
        await self.trouble()
        self.advance(timedelta(seconds=self.chance.choice([3, 20, 400, 1_000])))
        await self.ask()

    async def ask(self) -> None:
        await self.billing.watch.ask_due()
        await self.billing.watch.handle_webhooks()
        await self.billing.tools.refunding.follow_due()
        await self.billing.tools.taking_back.follow_due()

    async def days_pass(self) -> None:
        self.advance(timedelta(hours=self.chance.choice([1, 20, 24 * 4, 24 * 9, 24 * 20]) if self.is_owner else 1))
        await self.billing.calendar.run_due()
        self.note("the calendar is looked at")
        self.books.look_at_the_calendar()

    def advance(self, by: timedelta) -> None:
        self.billing.clock.advance(by)
        self.books.pass_time(self.billing.clock.now())

    # --- looking -----------------------------------------------------------------------------------------------

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
            "select kind, source_id, xmin::text::bigint as xid from ledger_entries where tenant_id = $1"
            " and kind in ('payment', 'refund') and xmin::text::bigint > $2 order by xmin::text::bigint, kind",
            t=tenant,
            x=self.seen_xid,
        )
        for entry in entries:
            self.seen_xid = max(self.seen_xid, entry["xid"])
            source = str(entry["source_id"])
            if entry["kind"] == "payment":
                attempt = self.books.attempts[source]
                self._is_true(attempt, references[source])
                self.note(f"taken in {source[-6:]}")
                self.books.take_in(attempt, settled[source] if attempt.method == "bank_transfer" else None)
            else:
                await self._learn_refund(source)
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
        assert said == books.accounts()
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
        (act,) = self.chance.choices([act for act, _ in ACTS], [weight for _, weight in ACTS])
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
    (Life.complain, 3),
    (Life.forge, 2),
    (Life.days_pass, 8),
]


@pytest.fixture
async def lived(world: Any) -> Any:
    """A billing whose clock stands still between the same providers."""
    frozen = Billing(world.billing.database, world.billing.settings, world.http, FrozenClock(START))
    async with frozen.superuser() as connection:
        # What other tests have left behind has its own calendar, and questions of its own.
        await connection.execute("update subscriptions set next_step_at = null")
        await connection.execute("update orders set expires_at = null")
        await connection.execute("update payments set next_poll_at = null")
        await connection.execute("update refunds set next_poll_at = null")
        await connection.execute("update disputes set next_poll_at = null")
        await connection.execute("update webhook_events set handled_at = now() where handled_at is null")
    yield frozen
    await frozen.close()


async def live(world: Any, billing: Billing, seed: int, steps: int) -> None:
    async with billing.superuser() as eye:
        life = Life(world, billing, eye, seed)
        try:
            await life.begin()
            for _ in range(steps):
                await life.step()
            await life.come_to_rest()
        except AssertionError as error:
            error.add_note(f"seed {seed}:\n" + "\n".join(life.told))
            raise


@pytest.mark.invariant("S22")
@pytest.mark.invariant("S24")
@pytest.mark.invariant("S26")
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_random_life_ends_with_the_plain_books(world: Any, lived: Billing, seed: int) -> None:
    await live(world, lived, seed, STEPS)


@pytest.mark.long
@pytest.mark.invariant("S22")
@pytest.mark.parametrize("seed", LONG_SEEDS)
async def test_a_long_random_life_ends_with_the_plain_books(world: Any, lived: Billing, seed: int) -> None:
    await live(world, lived, seed, LONG_STEPS)
