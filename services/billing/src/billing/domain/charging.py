"""In which currency a provider is told to charge, and at which rate; both are stored on the attempt.

Between XAF and EUR the parity is fixed by treaty; no other conversion exists here.
"""

from dataclasses import dataclass

from billing.domain.money import PARITY_XAF_PER_EUR, Money, MoneyError, xaf_to_eur


@dataclass(frozen=True, slots=True)
class Charge:
    """What the provider is told, and order units per charged unit as a fraction of integers."""

    amount: Money
    rate_numerator: int
    rate_denominator: int


def charge_for(due: Money, currency: str | None, *, whole_units: bool) -> Charge:
    """Return the charge for what is due of an order.

    Args:
        due: In the order's currency.
        currency: The one currency that the provider takes; ``None`` where it takes the order's.
        whole_units: Whether it takes whole units only (Mobile Money); rounded up, so that the order is covered.

    Raises:
        MoneyError: There is no fixed rate between the two currencies.
    """
    if currency is None or currency == due.currency:
        return Charge(due.ceil_to_major() if whole_units else due, 1, 1)
    if (due.currency, currency) != ("XAF", "EUR"):
        raise MoneyError(f"no fixed rate from {due.currency} to {currency}")
    # Of a few francs the half-up cent is none at all, and no provider takes nothing.
    euros = max(xaf_to_eur(due), Money(1, "EUR")) if due else xaf_to_eur(due)
    return Charge(euros.ceil_to_major() if whole_units else euros, *PARITY_XAF_PER_EUR)
