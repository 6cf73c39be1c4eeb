"""Amounts in requests."""

from billing.domain.money import EXPONENTS, Money, MoneyError
from billing.errors import AmountInvalid


def amount_in(currency: str, text: str | None) -> Money | None:
    """Read a positive amount of a known currency; ``None`` where none was sent.

    Raises:
        AmountInvalid: Not positive, or not written with exactly the currency's decimals.
    """
    if text is None:
        return None
    try:
        amount = Money.parse(text, currency)
    except MoneyError:
        amount = Money.zero(currency)
    if amount.amount_minor <= 0:
        raise AmountInvalid(exponent=EXPONENTS[currency], currency=currency)
    return amount
