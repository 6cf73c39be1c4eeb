"""A new attempt to pay an order, as every method's begins."""

from datetime import datetime

from common.ids import uuid7
from common.telemetry.context import carried

from billing.domain.money import Money
from billing.domain.order import Order
from billing.domain.payment import Payment, PaymentStatus
from billing.domain.plan import Method


def attempt_of(
    order: Order, number: int, amount: Money, method: Method, status: PaymentStatus, now: datetime
) -> Payment:
    """Return an attempt by the order's customer, in the order's currency and language, that nobody is asked about.

    Args:
        order: Locked.
        number: The how manieth of the order's attempts it is, from 1.
        amount: What it pays of the order.
        method: How.
        status: Its first.
        now: When it begins.
    """
    payment_id = uuid7()
    return Payment(
        tenant_id=order.tenant_id,
        id=payment_id,
        user_id=order.user_id,
        order_id=order.id,
        method=method,
        status=status,
        amount=amount,
        charged=amount,
        rate_numerator=1,
        rate_denominator=1,
        reference=f"{order.number}-{number}",
        provider_reference=None,
        receipt_reference=None,
        create_request_id=f"create-{payment_id}-1",
        capture_request_id=f"capture-{payment_id}-1",
        captures=1,
        callback_token=None,
        phone_number=None,
        return_url=None,
        cancel_url=None,
        redirect_url=None,
        reason_code=None,
        submitted_by=order.user_id,
        approved_by=None,
        language=order.language,
        trace=carried(),
        polls=0,
        next_poll_at=None,
        created_at=now,
        completed_at=None,
    )
