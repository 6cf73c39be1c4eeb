"""How amounts and days are written for people, in French and English; machines get `Money.decimal` and RFC 3339."""

from datetime import date, datetime

from babel.dates import format_date

from billing.domain.money import Money
from billing.domain.order import Order

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


def explain_rest(order: Order, language: str) -> str | None:
    """Return in one sentence what is left to pay of an order that a part came for; ``None`` where that is not so."""
    if not order.allocated_minor or not order.outstanding:
        return None
    return _REST[spoken(language)].format(left=amount_text(order.outstanding, language))


_REST = {
    "fr": "Une partie est arrivée. Il reste {left} à payer : lancez un autre paiement.",
    "en": "A part has arrived. {left} are left to pay: begin another payment.",
}


def explain_proration(order: Order, language: str) -> str:
    """Return in one sentence how much of what was paid is left, what the change costs, and what is to pay."""
    found = order.proration
    assert found is not None
    lang = spoken(language)
    point = "," if lang == "fr" else "."
    spans = ", ".join(
        _SPANS[lang].format(
            left=one.days_left(found.at).replace(".", point),
            days=one.days.replace(".", point),
            cost=amount_text(one.cost, lang),
            credit=amount_text(one.credit, lang),
        )
        for one in found.unused
    )
    amounts = order.amounts
    said = _CHANGE[lang].format(
        spans=spans,
        plan=order.plan.display_name,
        price=amount_text(amounts.worth, lang),
        due=amount_text(amounts.total, lang),
    )
    return said + (_LEFT[lang].format(left=amount_text(order.unspent, lang)) if order.unspent else "")


_SPANS = {
    "fr": "il reste {left} jours sur {days}, payés {cost}, soit {credit}",
    "en": "{left} of {days} days that cost {cost} are left, which is {credit}",
}
_CHANGE = {
    "fr": "Avoir : {spans}. {plan} coûte {price} hors taxe ; à payer : {due}.",
    "en": "Credit: {spans}. {plan} costs {price} before tax; to pay: {due}.",
}
_LEFT = {"fr": " {left} restent à votre avoir.", "en": " {left} stay as your credit."}
