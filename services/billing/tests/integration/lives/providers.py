"""What PayPal, MTN and liars do in a random life."""

from functools import partial
from typing import Any
from uuid import uuid4

from services.billing.tests.integration.lives.finance import Finance


class Providers(Finance):
    """Their news comes late, twice, in any order, or not at all."""

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
        send = partial(self.front.post, "/webhooks/paypal/", content=event.body, headers=headers)
        answers = await self.at_once(*[send] * times)
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
            call = partial(self.front.put, f"/webhooks/mtn-momo/{token}", json={})
            answers = await self.at_once(*[call] * self.chance.choice([1, 3]))
            self.note(f"callback {[answer.status_code for answer in answers]}")

    async def forge(self) -> None:
        """Somebody says that all was paid."""
        rows = await self.rows("select * from payments where tenant_id = $1 order by id", t=self.tenant_id)
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
