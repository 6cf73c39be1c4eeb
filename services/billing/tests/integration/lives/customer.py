"""What the customer of a random life does."""

from datetime import datetime
from fractions import Fraction
from functools import partial
from typing import Any
from uuid import UUID

from billing.testing import ORDERS, order_body

from services.billing.tests.integration.lives.beginning import SUBSCRIPTION, Beginning
from services.billing.tests.integration.lives.plain_rows import Attempt, Purchase, half_up, in_cents


class Customer(Beginning):
    """He orders, pays, changes his mind."""

    async def place_order(self) -> None:
        if self.tenant_id is not None and not self.is_owner:
            return
        plan, cycle = self.chance.choice([1, 2, 2, 3]), self.chance.choice(["monthly", "monthly", "yearly"])
        at_once = self.chance.random() < 0.3
        wish = {"plan_id": plan, "billing_cycle": cycle} | ({"effective": "now"} if at_once else {})
        if self.coupons and self.chance.random() < 0.3:
            wish["coupon_code"] = self.chance.choice(list(self.coupons))
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

    def add(self, said: dict[str, Any], plan: int, months: int, *, at_once: bool = False, ahead: bool = False) -> None:
        made_now = not ahead and datetime.fromisoformat(said["created_at"]) == self.books.now
        purchase = Purchase(
            id=said["id"],
            kind=said["kind"],
            plan=plan,
            months=months,
            total=int(said["total_amount"]),
            net=self.books.prices[plan, months] - int(said["discount_amount"]) - int(said.get("credit_amount") or 0),
            credit=int(said.get("credit_amount") or 0),
            placed_at=datetime.fromisoformat(said["created_at"]),
            scheduled=bool(said.get("effective_at")) and said["kind"] == "change",
        )
        if made_now and purchase.kind == "change":
            scheduled = self.books.waits(plan, at_once=at_once)
            unused, purchase.replaces = (0, []) if scheduled else self.books.unused()
            given = min(unused, self.books.prices[plan, months] - int(said["discount_amount"]))
            assert (purchase.credit, purchase.scheduled) == (given, scheduled)
            purchase.unspent = unused - given
        assert int(said["discount_amount"]) == self._discount(said, self.books.prices[plan, months])
        assert purchase.total == purchase.net + sum(self.books.taxes(purchase.net))
        self.books.place(purchase, made_now=made_now)

    def _discount(self, said: dict[str, Any], price: int) -> int:
        if not said.get("coupon_code"):
            return 0
        percent, fixed = self.coupons[said["coupon_code"]]
        return min(half_up(Fraction(price * percent, 100)) + fixed, price)

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
        if answer.status_code == 422:
            assert answer.json()["code"] == "amount_above_limit"
            assert method == 2
            assert self.books.asks_for(purchase) > 1_000_000
            return
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
            ask = partial(self.customer.post, f"{ORDERS}{purchase.id}/verify_payment/")
            answers = await self.at_once(*[ask] * self.chance.choice([1, 3]))
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

    async def agree_to_renewal(self) -> None:
        """He lets Mobile Money be asked for each renewal, or does not any more."""
        if not self.is_owner:
            return
        agrees = self.chance.random() < 0.8
        body = {"enabled": agrees} | ({"phone_number": "46733123454"} if agrees else {})
        answer = await self.customer.post(f"{SUBSCRIPTION}auto_renew/", json=body)
        self.note(f"renewal by Mobile Money {agrees}: {answer.status_code}")
        assert answer.status_code == (409 if self.books.status == "ended" else 200), answer.text
        if answer.status_code == 200:
            self.books.auto_renew = agrees

    async def _learn_renewals(self) -> None:
        """Tell the plain books of renewals that the calendar has ordered ahead, and of attempts that it has begun."""
        rows = await self.rows("select * from orders where tenant_id = $1 order by id", t=self.tenant_id)
        for row in rows:
            if str(row["id"]) not in self.books.purchases:
                assert row["kind"] == "renewal"
                said = {"id": str(row["id"]), "kind": "renewal", "created_at": row["created_at"].isoformat()}
                said |= {"total_amount": row["total_minor"], "discount_amount": row["discount_minor"]}
                self.add(said, row["plan_id"], 12 if row["billing_cycle"] == "yearly" else 1, ahead=True)
        known = len(self.books.attempts)
        await self._learn_attempts()
        assert len(self.books.attempts) == known or self.books.auto_renew

    async def buy(self) -> None:
        """What most customers do: order, pay, agree, wait; some pay by two ways, and both bring money."""
        await self.place_order()
        for _ in range(self.chance.choice([1, 1, 2])):
            await self.pay()
            for act in (self.decide, self.check_transfer, self.janitor):
                await act()
                await self.learn()
