"""Amounts in words: known spellings, and for any number words that read back as it."""

import pytest
from billing.domain.money import Money
from billing.domain.words import amount_in_words, english, french
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.unit

ANY = st.one_of(st.integers(0, 10**6), st.integers(0, 10**18 - 1), st.sampled_from([10**at for at in range(18)]))

FRENCH = {
    0: "zéro",
    1: "un",
    16: "seize",
    17: "dix-sept",
    21: "vingt et un",
    22: "vingt-deux",
    70: "soixante-dix",
    71: "soixante et onze",
    77: "soixante-dix-sept",
    80: "quatre-vingts",
    81: "quatre-vingt-un",
    91: "quatre-vingt-onze",
    99: "quatre-vingt-dix-neuf",
    100: "cent",
    101: "cent un",
    200: "deux cents",
    203: "deux cent trois",
    280: "deux cent quatre-vingts",
    1000: "mille",
    1001: "mille un",
    2000: "deux mille",
    80_000: "quatre-vingt mille",
    200_000: "deux cent mille",
    1_192_500: "un million cent quatre-vingt-douze mille cinq cents",
    80_000_000: "quatre-vingts millions",
    300_000_000: "trois cents millions",
    2_000_000_000: "deux milliards",
}
ENGLISH = {
    0: "zero",
    21: "twenty-one",
    100: "one hundred",
    115: "one hundred and fifteen",
    1000: "one thousand",
    1001: "one thousand and one",
    25_000: "twenty-five thousand",
    1_192_500: "one million one hundred and ninety-two thousand five hundred",
    2_000_000_000: "two billion",
}


@pytest.mark.parametrize(("number", "words"), FRENCH.items())
def test_french_numbers_are_spelt_as_in_grammars(number: int, words: str) -> None:
    assert french(number) == words


@pytest.mark.parametrize(("number", "words"), ENGLISH.items())
def test_english_numbers_are_spelt_as_in_grammars(number: int, words: str) -> None:
    assert english(number) == words


# A reader that shares nothing with the writer: it adds and multiplies, word by word.
_VALUES = {
    "zéro": 0, "un": 1, "deux": 2, "trois": 3, "quatre": 4, "cinq": 5, "six": 6, "sept": 7, "huit": 8, "neuf": 9,
    "dix": 10, "onze": 11, "douze": 12, "treize": 13, "quatorze": 14, "quinze": 15, "seize": 16, "vingt": 20,
    "trente": 30, "quarante": 40, "cinquante": 50, "soixante": 60,
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17,
    "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60,
    "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
_SCALES = {
    "fr": {"mille": 10**3, "million": 10**6, "milliard": 10**9, "billion": 10**12, "billiard": 10**15},
    "en": {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "quadrillion": 10**15},
}


def read(words: str, language: str) -> int:
    total, group = 0, 0
    text = words.replace("quatre-vingt", "huitante").replace("-", " ")
    for word in text.split():
        singular = word[:-1] if word.endswith("s") and word not in _VALUES else word
        if singular in {"et", "and"}:
            continue
        if singular == "huitante":
            group += 80
        elif singular in {"cent", "hundred"}:
            group = (group or 1) * 100 if language == "en" else max(group, 1) * 100
        elif singular in _SCALES[language]:
            total += (group or 1) * _SCALES[language][singular]
            group = 0
        else:
            group += _VALUES[singular]
    return total + group


@given(ANY)
@settings(max_examples=400)
def test_words_read_back_as_the_number(number: int) -> None:
    assert read(french(number), "fr") == number
    assert read(english(number), "en") == number


@given(
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from(["XAF", "EUR", "USD", "JPY", "KWD"]),
    st.sampled_from(["fr", "en"]),
)
def test_every_amount_that_a_row_holds_has_words(minor: int, currency: str, language: str) -> None:
    words = amount_in_words(Money(minor, currency), language)
    assert words == " ".join(words.split())
    assert words.startswith(("moins ", "minus ")) == (minor < 0)


@pytest.mark.parametrize(
    ("minor", "currency", "language", "words"),
    [
        (25_000, "XAF", "fr", "vingt-cinq mille francs CFA"),
        (1, "XAF", "fr", "un franc CFA"),
        (0, "XAF", "fr", "zéro franc CFA"),
        (0, "XAF", "en", "zero CFA francs"),
        (1_000_000, "XAF", "fr", "un million de francs CFA"),
        (2_000_000_000, "XAF", "fr", "deux milliards de francs CFA"),
        (1_192_500, "XAF", "en", "one million one hundred and ninety-two thousand five hundred CFA francs"),
        (3811, "EUR", "fr", "trente-huit euros et onze centimes"),
        (101, "EUR", "en", "one euro and one cent"),
        (-5000, "USD", "fr", "moins cinquante dollars américains"),
        (1500, "JPY", "en", "one thousand five hundred JPY"),
        (1250, "KWD", "fr", "un KWD et 250/1000"),
    ],
)
def test_amounts_are_written_with_their_currency(minor: int, currency: str, language: str, words: str) -> None:
    assert amount_in_words(Money(minor, currency), language) == words
