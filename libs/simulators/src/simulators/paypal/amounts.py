"""Amounts as PayPal reads them: text, decimals as the currency allows, and only currencies that it supports."""

import re
from decimal import Decimal
from typing import Any

from simulators.paypal.issues import IssueError

TWO_DECIMALS = "AUD BRL CAD CNY CZK DKK EUR HKD ILS MYR MXN NZD NOK PHP PLN GBP SGD SEK CHF THB USD"
DECIMALS = dict.fromkeys(TWO_DECIMALS.split(), 2) | dict.fromkeys(("HUF", "JPY", "TWD"), 0)
"""Supported currencies and their decimals (https://developer.paypal.com/reports/reference/supported-currencies)."""

VALUE = re.compile(r"(-?[0-9]+)|(-?([0-9]+)?[.][0-9]+)")


def parsed(amount: Any, field: str) -> tuple[Decimal, str]:
    """Value and currency of a money object.

    Raises:
        IssueError: missing, a number instead of text, unsupported currency, too many decimals, not positive.
    """
    if not isinstance(amount, dict) or "value" not in amount or "currency_code" not in amount:
        raise IssueError(400, "MISSING_REQUIRED_PARAMETER", f"{field}/value")
    value, currency = amount["value"], amount["currency_code"]
    if not isinstance(value, str) or len(value) > 32 or not VALUE.fullmatch(value):
        raise IssueError(400, "INVALID_PARAMETER_SYNTAX", f"{field}/value")
    if not isinstance(currency, str) or len(currency) != 3:
        raise IssueError(400, "INVALID_STRING_LENGTH", f"{field}/currency_code")
    if currency not in DECIMALS:
        raise IssueError(422, "INVALID_CURRENCY_CODE", f"{field}/currency_code")
    number = Decimal(value)
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    if -exponent > DECIMALS[currency]:
        raise IssueError(422, "DECIMAL_PRECISION", f"{field}/value")
    if number <= 0:
        raise IssueError(422, "CANNOT_BE_ZERO_OR_NEGATIVE", f"{field}/value")
    return number, currency


def money(value: Decimal, currency: str) -> dict[str, str]:
    """A money object with exactly the currency's decimals."""
    return {"currency_code": currency, "value": f"{value:.{DECIMALS[currency]}f}"}
