"""Whom an invoice names: what the order says, and for what it leaves empty what the organization's settings say.

Not here: where the settings are entered, which is tenancy's.
"""

from dataclasses import dataclass
from datetime import datetime

from billing.domain.order import Customer, Order


@dataclass(frozen=True, slots=True)
class Particulars:
    """Who an organization is on its invoices by its own settings, and when they said so."""

    customer: Customer
    stated_at: datetime


def carried_over(last: Order, stated: Particulars | None) -> Customer:
    """Return whom an order names that nobody types: of the last order and the settings what was said later goes first.

    Args:
        last: The order that it follows, or itself as it was made.
        stated: The organization's settings; ``None`` where none were told.
    """
    if stated is None:
        return last.customer
    if stated.stated_at > last.created_at:
        return stated.customer.filled_from(last.customer)
    return last.customer.filled_from(stated.customer)


def named_on_invoice(order: Order, stated: Particulars | None) -> Customer:
    """Return whom the invoice of an order names. What a customer typed in his order stays as he typed it.

    Args:
        order: The order, about to be invoiced.
        stated: The organization's settings; ``None`` where none were told.
    """
    if stated is None:
        return order.customer
    return carried_over(order, stated) if order.is_made_ahead else order.customer.filled_from(stated.customer)
