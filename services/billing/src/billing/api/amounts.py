"""Amounts in requests."""

from billing.domain.money import EXPONENTS, Money, MoneyError
from billing.errors import AmountInvalid

MOST_MINOR = 2**53
"""Every number of ours stays below: readers of JSON keep no larger one, and no sum of them leaves a column."""


def positive(currency: str, text: str) -> Money:
    """Read a positive amount.

    Raises:
        AmountInvalid: Unknown currency, not positive, too large, or not written with exactly the currency's decimals.
    """
    try:
        amount = Money.parse(text, currency)
    except MoneyError:
        amount = None
    if amount is None or not 0 < amount.amount_minor < MOST_MINOR:
        raise AmountInvalid(exponent=EXPONENTS.get(currency, "?"), currency=currency)
    return amount


def amount_in(currency: str, text: str | None) -> Money | None:
    """Read a positive amount of a known currency; ``None`` where none was sent.

    Raises:
        AmountInvalid: See `positive`.
    """
    return None if text is None else positive(currency, text)
