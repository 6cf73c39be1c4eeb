"""What finance does in a random life."""

from functools import partial
from typing import Any
from uuid import uuid4

from billing.testing import PAYMENTS

from services.billing.tests.integration.lives.customer import Customer


class Finance(Customer):
    """One asks, another decides."""

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
        path = f"{PAYMENTS}{attempt.id}/verify_bank_transfer/"
        answers = await self.at_once(*(partial(client.post, path, json=body) for client in self.finance()))
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

    async def lift_dispute(self) -> None:
        rows = await self.rows(
            "select id, reference, payment_id from disputes where tenant_id = $1 and status = 'lost'"
            " and lifted_at is null order by id",
            t=self.tenant_id,
        )
        if not rows:
            return
        row = self.chance.choice(rows)
        path, body = f"/api/admin/disputes/{row['id']}/lift/", {"reason": "a test of chance"}
        answers = await self.at_once(*(partial(client.post, path, json=body) for client in self.finance()))
        self.note(f"dispute {row['reference']} lifted: {[answer.status_code for answer in answers]}")
        purchase = self.books.attempts[str(row["payment_id"])].purchase
        in_debt = self.books.left_of(purchase) < 0
        assert sorted(answer.status_code for answer in answers) == ([409, 409] if in_debt else [200, 409])
        if not in_debt:
            self.books.lift(row["reference"], purchase)

    async def record_refund(self) -> None:
        if self.by_hand:
            refund_id = self.chance.choice(list(self.by_hand))
            del self.by_hand[refund_id]
            answers = [await self._refund(self.maker, refund_id, "record", reference=uuid4().hex) for _ in range(2)]
            assert [answer.status_code for answer in answers] == [200, 409]
            self.note(f"refund {refund_id[-6:]} recorded")
