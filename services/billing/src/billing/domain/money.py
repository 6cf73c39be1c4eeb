"""Money: an integer in the currency's minor unit beside its currency, and the arithmetic that keeps it exact.

No float and no rounding except where a function says so (half-up, away from zero). Not here: prices, VAT, which
currency a provider takes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

EXPONENTS: Mapping[str, int] = MappingProxyType(
    {
        "XAF": 0,
        "XOF": 0,
        "JPY": 0,
        "KRW": 0,
        "VND": 0,
        "EUR": 2,
        "USD": 2,
        "GBP": 2,
        "CHF": 2,
        "CAD": 2,
        "NGN": 2,
        "GHS": 2,
        "ZAR": 2,
        "TND": 3,
        "KWD": 3,
    }
)
"""Digits after the point of each currency that we price in or may be told by a provider (ISO 4217)."""

PARITY_XAF_PER_EUR = (655_957, 1_000)
"""The fixed parity, 655.957 XAF to the euro, as numerator and denominator."""

_DECIMAL = re.compile(r"(-?)([0-9]{1,18})(?:\.([0-9]{1,18}))?")


class MoneyError(ValueError):
    """Money that cannot be: unknown currency, two currencies in one sum, text that is no amount."""


def exponent(currency: str) -> int:
    """Digits after the point.

    Raises:
        MoneyError: the currency is unknown here.
    """
    if currency not in EXPONENTS:
        raise MoneyError(f"unknown currency {currency!r}")
    return EXPONENTS[currency]


def divide_half_up(numerator: int, denominator: int) -> int:
    """`numerator / denominator` to the nearest integer, halves away from zero; the denominator is positive."""
    quotient = (2 * abs(numerator) + denominator) // (2 * denominator)
    return quotient if numerator >= 0 else -quotient


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of one currency; `amount_minor` counts its smallest unit (centimes, or whole francs for XAF)."""

    amount_minor: int
    currency: str

    def __post_init__(self) -> None:
        """Refuse what is no money.

        Raises:
            MoneyError: unknown currency.
            TypeError: the amount is not an integer; a float is never rounded silently.
        """
        exponent(self.currency)
        if type(self.amount_minor) is not int:
            raise TypeError(f"amount_minor is an integer, not {type(self.amount_minor).__name__}")

    @classmethod
    def zero(cls, currency: str) -> "Money":
        return cls(0, currency)

    @classmethod
    def parse(cls, text: str, currency: str) -> "Money":
        """Read our own spelling: exactly as many decimals as the currency has ("25000" XAF, "38.11" EUR).

        Raises:
            MoneyError: anything else.
        """
        money = cls.read(text, currency)
        if money.decimal() != text:
            raise MoneyError(f"{text!r} is not an amount of {currency} with {exponent(currency)} decimals")
        return money

    @classmethod
    def read(cls, text: str, currency: str) -> "Money":
        """Read a provider's spelling: "38.1" and "25000.00" are understood; the value is never changed.

        Raises:
            MoneyError: no amount, or one finer than the currency's minor unit.
        """
        digits = exponent(currency)
        match = _DECIMAL.fullmatch(text)
        if match is None:
            raise MoneyError(f"{text!r} is not an amount")
        sign, whole, fraction = match[1], match[2], match[3] or ""
        kept, surplus = fraction[:digits].ljust(digits, "0"), fraction[digits:]
        if surplus.strip("0"):
            raise MoneyError(f"{text!r} is finer than {currency} can be")
        amount_minor = int(whole + kept)
        return cls(-amount_minor if sign else amount_minor, currency)

    def decimal(self) -> str:
        """The amount in major units with exactly the currency's decimals, as it stands in JSON."""
        digits = EXPONENTS[self.currency]
        sign = "-" if self.amount_minor < 0 else ""
        text = str(abs(self.amount_minor)).rjust(digits + 1, "0")
        return f"{sign}{text[:-digits]}.{text[-digits:]}" if digits else f"{sign}{text}"

    def __str__(self) -> str:
        return f"{self.decimal()} {self.currency}"

    def __bool__(self) -> bool:
        return self.amount_minor != 0

    def __neg__(self) -> "Money":
        return Money(-self.amount_minor, self.currency)

    def __add__(self, other: "Money") -> "Money":
        return Money(self.amount_minor + self._same(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.amount_minor - self._same(other), self.currency)

    def __mul__(self, count: int) -> "Money":
        if type(count) is not int:
            raise TypeError("money is multiplied by a count; for a part of it see share()")
        return Money(self.amount_minor * count, self.currency)

    def __lt__(self, other: "Money") -> bool:
        return self.amount_minor < self._same(other)

    def __le__(self, other: "Money") -> bool:
        return self.amount_minor <= self._same(other)

    def __gt__(self, other: "Money") -> bool:
        return self.amount_minor > self._same(other)

    def __ge__(self, other: "Money") -> bool:
        return self.amount_minor >= self._same(other)

    def _same(self, other: "Money") -> int:
        if self.currency != other.currency:
            raise MoneyError(f"{self.currency} and {other.currency} do not mix")
        return other.amount_minor

    def share(self, numerator: int, denominator: int) -> "Money":
        """This much of it, half-up: 19.25 % is `share(1925, 10_000)`. The denominator is positive."""
        return Money(divide_half_up(self.amount_minor * numerator, denominator), self.currency)

    def ceil_to_major(self) -> "Money":
        """Rounded up to whole major units, for a provider that takes no decimals."""
        unit = 10 ** EXPONENTS[self.currency]
        return Money(-(-self.amount_minor // unit) * unit, self.currency)


def xaf_to_eur(money: Money) -> Money:
    """At the fixed parity, half-up to the cent.

    Raises:
        MoneyError: not XAF.
    """
    _expect(money, "XAF")
    numerator, denominator = PARITY_XAF_PER_EUR
    return Money(divide_half_up(money.amount_minor * 100 * denominator, numerator), "EUR")


def eur_to_xaf(money: Money) -> Money:
    """At the fixed parity, half-up to the franc.

    Raises:
        MoneyError: not EUR.
    """
    _expect(money, "EUR")
    numerator, denominator = PARITY_XAF_PER_EUR
    return Money(divide_half_up(money.amount_minor * numerator, 100 * denominator), "XAF")


def _expect(money: Money, currency: str) -> None:
    if money.currency != currency:
        raise MoneyError(f"expected {currency}, not {money.currency}")
