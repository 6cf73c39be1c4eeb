"""Begin to pay an order: by the customer's credit where that covers it, else by an attempt; once per key."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from common.idempotency import once

from billing.domain.invoice import Issuer
from billing.domain.order import Order
from billing.domain.payment import Payment
from billing.domain.plan import Method
from billing.domain.tries import PromptLimits
from billing.errors import PromptsUsedUp
from billing.persistence.unit_of_work import UnitOfWork
from billing.usecases.open_attempt import WantedPayment, open_attempt
from billing.usecases.pay_by_credit import pay_by_credit
from billing.usecases.steps.mails import how_to_pay


@dataclass(frozen=True, slots=True)
class Begun:
    """What an order is being paid by.

    Attributes:
        payment: The attempt; ``None`` where the customer's credit has paid.
        is_new: Whether this call made it, and not an earlier one with the same Idempotency-Key or of a second tap.
    """

    payment: Payment | None
    is_new: bool

    @property
    def is_to_start(self) -> bool:
        """Whether its provider is to be called now; also again where PayPal never said where to send the payer."""
        if self.payment is None or self.payment.method is Method.BANK_TRANSFER:
            return False
        untold = self.payment.is_offered and self.payment.redirect_url is None
        return self.is_new or (self.payment.method is Method.PAYPAL and untold)


async def begin_payment(
    uow: UnitOfWork,
    order: Order,
    wanted: WantedPayment,
    issuer: Issuer,
    bank: dict[str, str],
    prompts: PromptLimits,
    *,
    user_id: UUID,
    key: str | None,
    body: bytes,
) -> Begun:
    """Pay by credit or add an attempt, and tell the customer how to make a transfer.

    Args:
        uow: Open for the order's tenant, with ``user_id`` acting.
        order: What is paid.
        wanted: How.
        issuer: Who issues the invoice.
        bank: Where transfers go.
        prompts: How many requests to pay may be sent to phones.
        user_id: The payer.
        key: The request's Idempotency-Key.
        body: The request's body, which has to be the same for the same key.

    Raises:
        OrderNotPayable: It takes no new payment.
        AmountAboveLimit: More is due than the method takes at once.
        OrderOutdated: Its price was computed from a subscription that is another by now.
        PromptsUsedUp: Enough were sent to this number, for this order or by this person.
        IdempotencyKeyReused: Same key, other body.
    """
    made: list[Payment | None] = []

    async def act() -> tuple[int, dict[str, Any]]:
        if await pay_by_credit(uow, order.id, issuer):
            made.append(None)
            return 409, {"paid_by": "credit"}
        payment, is_new = await open_attempt(uow, order.id, wanted, user_id=user_id, taps_once=key is None)
        if not is_new:
            return 200, {"payment_id": str(payment.id)}
        made.append(payment)
        if payment.phone_number is not None:
            await _must_prompt(uow, payment, prompts, user_id)
        if wanted.method is Method.BANK_TRANSFER:
            await uow.send_mail(how_to_pay(order, payment, bank, issuer))
        return 200, {"payment_id": str(payment.id)}

    _, kept = await once(uow, user_id, f"POST /api/tenants/orders/{order.id}/initiate_payment/", key, body, act)
    if made:
        return Begun(made[0], is_new=True)
    if "payment_id" not in kept:
        return Begun(None, is_new=False)
    payment = await uow.payments.find(UUID(kept["payment_id"]))
    assert payment is not None
    return Begun(payment, is_new=False)


async def _must_prompt(uow: UnitOfWork, payment: Payment, limits: PromptLimits, user_id: UUID) -> None:
    """Count a prompt with its attempt: a phone is somebody's, and need not be the payer's."""
    assert payment.phone_number is not None
    wait = await uow.payment_prompts.take(limits.of(payment.phone_number, payment.order_id, user_id))
    if wait is not None:
        raise PromptsUsedUp(retry_after=wait)
