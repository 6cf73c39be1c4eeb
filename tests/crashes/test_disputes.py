"""The worker is killed while a customer takes his money back at PayPal; it is held, given back and told once.

Nothing is repeated by hand: the webhook that a dead worker had taken is taken again.
"""

from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from devstack.customer import JSON, until
from devstack.stack import Stack

from tests.crashes.dying import NOT_SQUARE, at_rest, dying, numbers
from tests.crashes.purchases import PATIENCE_SECONDS, Purchase, a_customer, buy, right_once

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

WORKER = ("billing-worker",)

COUNTED = {
    "disputes": "SELECT 1 FROM disputes WHERE tenant_id = $1",
    "cases": "SELECT 1 FROM cases WHERE tenant_id = $1",
    "reversals": "SELECT 1 FROM refunds WHERE tenant_id = $1 AND status = 'completed'",
    "credit notes": "SELECT 1 FROM credit_notes WHERE tenant_id = $1",
    "payment.disputed": "SELECT 1 FROM outbox WHERE tenant_id = $1 AND type = 'payment.disputed.v1'",
    "payment.refunded": "SELECT 1 FROM outbox WHERE tenant_id = $1 AND type = 'payment.refunded.v1'",
    "subscription.suspended": "SELECT 1 FROM outbox WHERE tenant_id = $1 AND type = 'subscription.suspended.v1'",
    "subscription.renewed": "SELECT 1 FROM outbox WHERE tenant_id = $1 AND type = 'subscription.renewed.v1'",
    "notices": "SELECT 1 FROM mails WHERE tenant_id = $1 AND key LIKE 'payment_disputed:%'",
    "good news": "SELECT 1 FROM mails WHERE tenant_id = $1 AND key LIKE 'dispute_won:%'",
    "bad news": "SELECT 1 FROM mails WHERE tenant_id = $1 AND key LIKE 'dispute_lost:%'",
}
NOTHING = dict.fromkeys(COUNTED, 0)
HELD = NOTHING | dict.fromkeys(["disputes", "cases", "payment.disputed", "subscription.suspended", "notices"], 1)
WON = HELD | {"payment.disputed": 2, "subscription.renewed": 1, "good news": 1}
GONE = dict.fromkeys(["reversals", "credit notes", "payment.refunded"], 1)


@dataclass(frozen=True)
class Case:
    """What PayPal says when the worker dies, and what has come of it in the end."""

    news: str
    point: str
    expected: dict[str, int]
    organization: str

    def __str__(self) -> str:
        return f"{self.news}-{self.point}"


CASES = [
    Case("opened", "billing.dispute.read", HELD, "suspended"),
    Case("opened", "billing.dispute.applied", HELD, "suspended"),
    Case("opened", "billing.dispute.committed", HELD, "suspended"),
    Case("won", "billing.dispute.applied", WON, "active"),
    Case("won", "billing.dispute.committed", WON, "active"),
    Case("lost", "billing.dispute.committed", HELD | GONE | {"cases": 2, "bad news": 1}, "suspended"),
    Case("lost", "billing.movements.applied", HELD | GONE | {"cases": 2, "bad news": 1}, "suspended"),
    Case("reversed", "billing.movements.read", HELD | GONE, "suspended"),
    Case("reversed", "billing.movements.committed", HELD | GONE, "suspended"),
]


class PayPal:
    """What the payer and PayPal do about one capture."""

    def __init__(self, stack: Stack, capture: str) -> None:
        self._base = stack.endpoints["paypal"]
        self._capture = capture
        self._dispute = ""

    async def _act(self, path: str, **body: str) -> JSON:
        async with httpx.AsyncClient(trust_env=False, base_url=self._base) as http:
            answer = await http.post(f"/_sim/{path}", json=body)
            assert answer.status_code == httpx.codes.OK, answer.text
            done: JSON = answer.json()
            return done

    async def opened(self) -> None:
        self._dispute = (await self._act(f"captures/{self._capture}/dispute"))["dispute_id"]

    async def won(self) -> None:
        await self._act(f"disputes/{self._dispute}", outcome="RESOLVED_SELLER_FAVOUR")

    async def lost(self) -> None:
        await self._act(f"disputes/{self._dispute}", outcome="RESOLVED_BUYER_FAVOUR")

    async def reversed(self) -> None:
        await self._act(f"captures/{self._capture}/reverse")


async def comes_to(stack: Stack, purchase: Purchase, expected: dict[str, int]) -> None:
    """Wait until the counts are these and nothing is left to do."""

    async def found() -> dict[str, Any]:
        return await numbers(stack, purchase.tenant_id, COUNTED)

    wanted = at_rest(expected)
    assert await until(found, lambda now: now == wanted, seconds=PATIENCE_SECONDS) == wanted


@pytest.mark.usefixtures("untouched_neighbour")
@pytest.mark.invariant("S90")
@pytest.mark.invariant("S44")
@pytest.mark.parametrize("case", CASES, ids=str)
async def test_money_taken_back_survives_a_death_between_two_steps(stack: Stack, case: Case) -> None:
    async with await a_customer(stack) as customer:
        purchase = await buy(customer, "paypal")
        await right_once(stack, purchase)
    query = "SELECT receipt_reference FROM payments WHERE tenant_id = $1"
    (payment,) = await stack.rows("billing", query, purchase.tenant_id)
    paypal = PayPal(stack, payment["receipt_reference"])
    if case.news in {"won", "lost"}:
        await paypal.opened()
        await comes_to(stack, purchase, HELD)
    async with dying(stack, WORKER, case.point):
        await getattr(paypal, case.news)()
        await comes_to(stack, purchase, case.expected)
    standing = [{"status": case.organization}]
    query = "SELECT status FROM organizations WHERE tenant_id = $1"
    assert await stack.rows("tenancy", query, purchase.tenant_id) == standing
    query = "SELECT status FROM subscriptions WHERE tenant_id = $1"
    assert await stack.rows("billing", query, purchase.tenant_id) == standing
    assert await stack.rows("billing", NOT_SQUARE, purchase.tenant_id) == []
