"""How amounts and days are written for people, in French and English; machines get `Money.decimal` and RFC 3339."""

from datetime import date, datetime

from babel.dates import format_date

from billing.domain.money import Money

LANGUAGES = ("fr", "en")

NO_BREAK = "\u00a0"
"""Keeps an amount on one line."""

_MARKS = {"fr": (NO_BREAK, ","), "en": (",", ".")}
"""What stands between thousands and before decimals (Imprimerie nationale; the usual in English)."""


def spoken(language: str) -> str:
    """Return the language that we write to a person in: French where we do not know his."""
    return language if language in LANGUAGES else "fr"


def amount_text(money: Money, language: str) -> str:
    """Return the amount with thousands apart and its currency's code behind: «1 192 500 XAF», «38.11 EUR»."""
    thousands, point = _MARKS[spoken(language)]
    whole, _, fraction = (-money if money.amount_minor < 0 else money).decimal().partition(".")
    first = len(whole) % 3 or 3
    groups = [whole[:first], *(whole[at : at + 3] for at in range(first, len(whole), 3))]
    sign = "−" if money.amount_minor < 0 else ""  # the sign of minus, not a hyphen
    return f"{sign}{thousands.join(groups)}{point + fraction if fraction else ''}{NO_BREAK}{money.currency}"


def day_text(day: date | datetime, language: str) -> str:
    """Return the day, written out: «22 novembre 2026», «November 22, 2026»; of an instant, its day in UTC."""
    return str(format_date(day, "long", locale=spoken(language)))
