"""An amount in words, as an invoice's sum is written out: French (traditional hyphens) and English.

Exact integers only, up to what a bigint of minor units holds. Not here: figures (``domain.wording``).
"""

from billing.domain.money import EXPONENTS, Money

_FRENCH = [
    "zéro",
    "un",
    "deux",
    "trois",
    "quatre",
    "cinq",
    "six",
    "sept",
    "huit",
    "neuf",
    "dix",
    "onze",
    "douze",
    "treize",
    "quatorze",
    "quinze",
    "seize",
    "dix-sept",
    "dix-huit",
    "dix-neuf",
]
_FRENCH_TENS = {20: "vingt", 30: "trente", 40: "quarante", 50: "cinquante", 60: "soixante", 80: "quatre-vingt"}
_ENGLISH = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_ENGLISH_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")

_FRENCH_SCALES = (
    (10**18, "trillion"),
    (10**15, "billiard"),
    (10**12, "billion"),
    (10**9, "milliard"),
    (10**6, "million"),
)
_ENGLISH_SCALES = (
    (10**18, "quintillion"),
    (10**15, "quadrillion"),
    (10**12, "trillion"),
    (10**9, "billion"),
    (10**6, "million"),
    (10**3, "thousand"),
)

_UNITS = {
    "XAF": {"fr": ("franc CFA", "francs CFA"), "en": ("CFA franc", "CFA francs")},
    "XOF": {"fr": ("franc CFA", "francs CFA"), "en": ("CFA franc", "CFA francs")},
    "EUR": {"fr": ("euro", "euros"), "en": ("euro", "euros")},
    "USD": {"fr": ("dollar américain", "dollars américains"), "en": ("US dollar", "US dollars")},
}
_PARTS = {"fr": ("centime", "centimes"), "en": ("cent", "cents")}


def _french_below_hundred(number: int) -> str:
    if number < 20:
        return _FRENCH[number]
    base = {70: 60, 90: 80}.get(number // 10 * 10, number // 10 * 10)
    rest = number - base
    if rest == 0:
        return "quatre-vingts" if base == 80 else _FRENCH_TENS[base]
    joint = " et " if rest in {1, 11} and base != 80 else "-"
    return f"{_FRENCH_TENS[base]}{joint}{_FRENCH[rest]}"


def _french_below_thousand(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    words = []
    if hundreds:
        plural = "s" if hundreds > 1 and not rest else ""
        words.append("cent" if hundreds == 1 else f"{_FRENCH[hundreds]} cent{plural}")
    if rest or not hundreds:
        words.append(_french_below_hundred(rest))
    return " ".join(words)


def french(number: int) -> str:
    """Return a number from 0 to below 10²¹ in French words; «cent» and «vingt» agree, «mille» never does."""
    words = []
    for scale, name in _FRENCH_SCALES:
        count, number = divmod(number, scale)
        if count:
            words.append(f"{_french_below_thousand(count)} {name}{'s' if count > 1 else ''}")
    thousands, rest = divmod(number, 1000)
    if thousands:
        # «mille» is a numeral, before which nothing takes an s: deux cent mille, quatre-vingt mille.
        counted = _french_below_thousand(thousands)
        if counted.endswith(("cents", "vingts")):
            counted = counted[:-1]
        words.append("mille" if thousands == 1 else f"{counted} mille")
    if rest or not words:
        words.append(_french_below_thousand(rest))
    return " ".join(words)


def _english_below_thousand(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    words = [f"{_ENGLISH[hundreds]} hundred"] if hundreds else []
    if rest:
        tens, unit = divmod(rest, 10)
        small = _ENGLISH[rest] if rest < 20 else _ENGLISH_TENS[tens - 2] + (f"-{_ENGLISH[unit]}" if unit else "")
        words.append(small)
    return " and ".join(words)


def english(number: int) -> str:
    """Return a number from 0 to below 10²¹ in English words."""
    if number == 0:
        return _ENGLISH[0]
    words = []
    for scale, name in _ENGLISH_SCALES:
        count, number = divmod(number, scale)
        if count:
            words.append(f"{_english_below_thousand(count)} {name}")
    if number:
        joint = "and " if words and number < 100 else ""
        words.append(joint + _english_below_thousand(number))
    return " ".join(words)


def amount_in_words(money: Money, language: str) -> str:
    """Return an amount as it is written out: «un million de francs CFA», «thirty-eight euros and eleven cents».

    A currency without a name here keeps its code; the sign of a negative amount is a word.
    """
    spoken = "fr" if language == "fr" else "en"
    spell, joint, minus = (french, "et", "moins") if spoken == "fr" else (english, "and", "minus")
    base = 10 ** EXPONENTS[money.currency]
    whole, part = divmod(abs(money.amount_minor), base)
    one, many = _UNITS.get(money.currency, {}).get(spoken, (money.currency, money.currency))
    # French has the singular up to «un», and «de» after a noun of number: un million de francs.
    unit = one if whole == 1 or (whole == 0 and spoken == "fr") else many
    of = "de " if spoken == "fr" and whole >= 10**6 and whole % 10**6 == 0 else ""
    words = f"{spell(whole)} {of}{unit}"
    if part:
        words += f" {joint} {spell(part)} {_PARTS[spoken][part != 1]}" if base == 100 else f" {joint} {part}/{base}"
    return f"{minus} {words}" if money.amount_minor < 0 else words
