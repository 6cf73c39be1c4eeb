"""The one table of what may become what. Nothing else moves an order or a payment.

Payments move by rank: any later state is reachable from any earlier one, never back; ``processing`` and ``unknown``
share a rank and alternate, because a provider that could not be reached has said nothing. So the same news,
repeated or in any order, ends in the same state. No order state is terminal against money: a cancelled or failed
order is paid by a late success.
"""

from billing.domain.order import OrderStatus
from billing.domain.payment import PaymentStatus

PAYMENT_RANK = {
    PaymentStatus.PENDING: 0,
    PaymentStatus.SUBMITTED: 1,
    PaymentStatus.PROCESSING: 2,
    PaymentStatus.UNKNOWN: 2,
    PaymentStatus.SUPERSEDED: 3,
    PaymentStatus.FAILED: 4,
    PaymentStatus.QUARANTINED: 5,
    PaymentStatus.COMPLETED: 6,
    PaymentStatus.REFUNDED: 7,
}

ORDER_MOVES: dict[OrderStatus, frozenset[OrderStatus]] = {
    OrderStatus.PENDING: frozenset(
        {OrderStatus.PAYMENT_PENDING, OrderStatus.PAID, OrderStatus.FAILED, OrderStatus.CANCELLED}
    ),
    OrderStatus.PAYMENT_PENDING: frozenset({OrderStatus.PAID, OrderStatus.FAILED, OrderStatus.CANCELLED}),
    OrderStatus.FAILED: frozenset({OrderStatus.PAYMENT_PENDING, OrderStatus.PAID, OrderStatus.CANCELLED}),
    OrderStatus.CANCELLED: frozenset({OrderStatus.PAID}),
    OrderStatus.PAID: frozenset({OrderStatus.PROCESSING, OrderStatus.COMPLETED, OrderStatus.REFUNDED}),
    OrderStatus.PROCESSING: frozenset({OrderStatus.COMPLETED, OrderStatus.REFUNDED}),
    OrderStatus.COMPLETED: frozenset({OrderStatus.REFUNDED}),
    OrderStatus.REFUNDED: frozenset(),
}
"""``processing`` is a paid change that waits for the end of the running period."""


def payment_may_become(current: PaymentStatus, wanted: PaymentStatus) -> bool:
    """Say whether a payment in ``current`` moves to ``wanted``; news of a state already passed changes nothing."""
    if current is wanted:
        return False
    here, there = PAYMENT_RANK[current], PAYMENT_RANK[wanted]
    return there > here or (there == here and PaymentStatus.UNKNOWN in {current, wanted})


def order_may_become(current: OrderStatus, wanted: OrderStatus) -> bool:
    """Say whether an order in ``current`` moves to ``wanted``."""
    return wanted in ORDER_MOVES[current]
