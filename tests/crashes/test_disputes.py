"""The worker is killed while a customer takes his money back at PayPal; it is held, given back and told once.

Nothing is repeated by hand: the webhook that a dead worker had taken is taken again. Only finance, who lifts what a lost
dispute holds while the API is killed, asks again, as whoever got no answer does.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import pytest
from devstack.customer import JSON, MTN_MOMO, Refused, until
from devstack.patient_customer import PatientCustomer
from devstack.premises import BRONZE
from devstack.stack import Stack

from tests.crashes.dying import NOT_SQUARE, at_rest, dying, numbers
from tests.crashes.purchases import PATIENCE_SECONDS, Purchase, a_customer, buy, right_once
from tests.crashes.test_refunds import finance

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

WORKER = ("billing-worker",)
API = ("billing-api",)

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
LOST = HELD | GONE | {"cases": 2, "bad news": 1}

LIFTING = COUNTED | {
    "lifted": "SELECT 1 FROM disputes WHERE tenant_id = $1 AND lifted_at IS NOT NULL",
    "acts of finance": "SELECT 1 FROM audit_log WHERE tenant_id = $1 AND action = 'dispute.lifted'",
    "told that it is lifted": "SELECT 1 FROM mails WHERE tenant_id = $1 AND key LIKE 'dispute_lifted:%'",
    "periods": "SELECT 1 FROM subscription_periods WHERE tenant_id = $1 AND ends_at > now()",
}
TO_BE_LIFTED = LOST | {
    "subscription.renewed": 1,
    "lifted": 0,
    "acts of finance": 0,
    "told that it is lifted": 0,
    "periods": 2,
}
LIFTED = TO_BE_LIFTED | {
    "subscription.renewed": 2,
    "lifted": 1,
    "acts of finance": 1,
    "told that it is lifted": 1,
    "periods": 1,
}


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
    Case("won", "billing.dispute.read", WON, "active"),
    Case("won", "billing.dispute.applied", WON, "active"),
    Case("won", "billing.dispute.committed", WON, "active"),
    Case("lost", "billing.dispute.read", LOST, "suspended"),
    Case("lost", "billing.dispute.applied", LOST, "suspended"),
    Case("lost", "billing.dispute.committed", LOST, "suspended"),
    Case("lost", "billing.movements.read", LOST, "suspended"),
    Case("lost", "billing.movements.applied", LOST, "suspended"),
    Case("lost", "billing.movements.committed", LOST, "suspended"),
    Case("reversed", "billing.movements.read", HELD | GONE, "suspended"),
    Case("reversed", "billing.movements.applied", HELD | GONE, "suspended"),
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


async def comes_to(
    stack: Stack, purchase: Purchase, expected: dict[str, int], counted: dict[str, str] = COUNTED
) -> None:
    """Wait until the counts are these and nothing is left to do."""

    async def found() -> dict[str, Any]:
        return await numbers(stack, purchase.tenant_id, counted)

    wanted = at_rest(expected)
    assert await until(found, lambda now: now == wanted, seconds=PATIENCE_SECONDS) == wanted


async def paypal_of(stack: Stack, purchase: Purchase) -> PayPal:
    """What PayPal knows the purchase's payment as."""
    query = "SELECT receipt_reference FROM payments WHERE tenant_id = $1 AND order_id = $2"
    (payment,) = await stack.rows("billing", query, purchase.tenant_id, UUID(purchase.order_id))
    return PayPal(stack, payment["receipt_reference"])


async def stands(stack: Stack, purchase: Purchase, status: str) -> None:
    """Fail unless organization and subscription are in this state and the books are square."""
    standing = [{"status": status}]
    query = "SELECT status FROM organizations WHERE tenant_id = $1"
    assert await stack.rows("tenancy", query, purchase.tenant_id) == standing
    query = "SELECT status FROM subscriptions WHERE tenant_id = $1"
    assert await stack.rows("billing", query, purchase.tenant_id) == standing
    assert await stack.rows("billing", NOT_SQUARE, purchase.tenant_id) == []


@pytest.mark.usefixtures("untouched_neighbour")
@pytest.mark.invariant("S90")
@pytest.mark.invariant("S44")
@pytest.mark.parametrize("case", CASES, ids=str)
async def test_money_taken_back_survives_a_death_between_two_steps(stack: Stack, case: Case) -> None:
    async with await a_customer(stack) as customer:
        purchase = await buy(customer, "paypal")
        await right_once(stack, purchase)
    paypal = await paypal_of(stack, purchase)
    if case.news in {"won", "lost"}:
        await paypal.opened()
        await comes_to(stack, purchase, HELD)
    async with dying(stack, WORKER, case.point):
        await getattr(paypal, case.news)()
        await comes_to(stack, purchase, case.expected)
    await stands(stack, purchase, case.organization)


async def lifted_by(person: PatientCustomer, dispute_id: str) -> None:
    """Lift what the dispute holds; where the answer was lost, it has been lifted already."""
    try:
        await person.post(f"/api/admin/disputes/{dispute_id}/lift/", {"reason": "settled with the customer"})
    except Refused as refused:
        assert refused.answer.status_code == httpx.codes.CONFLICT, refused
        assert refused.answer.json()["code"] == "dispute_state"


@pytest.mark.usefixtures("untouched_neighbour")
@pytest.mark.invariant("S90")
@pytest.mark.invariant("S44")
@pytest.mark.parametrize("point", ["billing.lift.applied", "billing.lift.committed"])
async def test_a_suspension_is_lifted_once_however_the_api_dies_over_it(stack: Stack, point: str) -> None:
    async with await a_customer(stack) as customer:
        purchase = await buy(customer, "paypal")
        await right_once(stack, purchase)
        renewal = await customer.order(BRONZE, "Entreprise XYZ")
        await customer.pay(renewal, MTN_MOMO)
        await customer.paid(renewal, seconds=PATIENCE_SECONDS)
    paypal = await paypal_of(stack, purchase)
    await paypal.opened()
    await until(
        lambda: numbers(stack, purchase.tenant_id, COUNTED), lambda now: now["disputes"] == 1, seconds=PATIENCE_SECONDS
    )
    await paypal.lost()
    await comes_to(stack, purchase, TO_BE_LIFTED, LIFTING)
    await stands(stack, purchase, "suspended")
    (dispute,) = await stack.rows("billing", "SELECT id FROM disputes WHERE tenant_id = $1", purchase.tenant_id)
    async with finance(stack, 0) as person, dying(stack, API, point):
        await lifted_by(person, str(dispute["id"]))
        await comes_to(stack, purchase, LIFTED, LIFTING)
    await stands(stack, purchase, "active")
