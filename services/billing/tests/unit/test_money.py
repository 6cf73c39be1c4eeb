"""Money: exact in every currency, in and out of text, and never a float."""

import ast
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import billing
import pytest
from billing.domain.money import EXPONENTS, Money, MoneyError, eur_to_xaf, xaf_to_eur
from hypothesis import given
from hypothesis import strategies as st

AMOUNTS = st.integers(min_value=-(10**15), max_value=10**15)
CURRENCIES = st.sampled_from(sorted(EXPONENTS))
MONEY = st.builds(Money, AMOUNTS, CURRENCIES)


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (Money(25000, "XAF"), "25000"),
        (Money(3811, "EUR"), "38.11"),
        (Money(5, "EUR"), "0.05"),
        (Money(-50, "USD"), "-0.50"),
        (Money(0, "JPY"), "0"),
        (Money(1234, "TND"), "1.234"),
    ],
)
def test_the_decimal_has_exactly_the_currencys_digits(money: Money, text: str) -> None:
    assert money.decimal() == text
    assert Money.parse(text, money.currency) == money


@pytest.mark.invariant("S17")
@given(MONEY)
def test_every_amount_survives_its_text(money: Money) -> None:
    assert Money.parse(money.decimal(), money.currency) == money
    assert Decimal(money.decimal()).scaleb(EXPONENTS[money.currency]) == money.amount_minor


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("38.1", "EUR"),
        ("38", "EUR"),
        ("38.110", "EUR"),
        ("25000.00", "XAF"),
        ("-0", "XAF"),
        ("007", "XAF"),
        ("1e3", "XAF"),
        ("1 000", "XAF"),
        ("٣", "XAF"),
        ("", "EUR"),
        (".50", "EUR"),
        ("38,11", "EUR"),
    ],
)
def test_another_spelling_than_ours_is_no_amount(text: str, currency: str) -> None:
    with pytest.raises(MoneyError):
        Money.parse(text, currency)


@pytest.mark.parametrize(
    ("text", "currency", "minor"), [("38.1", "EUR", 3810), ("38", "EUR", 3800), ("25000.00", "XAF", 25000)]
)
def test_a_providers_spelling_is_understood_without_changing_the_value(text: str, currency: str, minor: int) -> None:
    assert Money.read(text, currency) == Money(minor, currency)


@pytest.mark.parametrize(("text", "currency"), [("38.111", "EUR"), ("25000.5", "XAF"), ("12..3", "EUR")])
def test_what_would_have_to_be_rounded_is_not_read(text: str, currency: str) -> None:
    with pytest.raises(MoneyError):
        Money.read(text, currency)


def test_two_currencies_do_not_mix() -> None:
    with pytest.raises(MoneyError):
        _ = Money(1, "XAF") + Money(1, "EUR")
    with pytest.raises(MoneyError):
        _ = Money(1, "XAF") < Money(1, "EUR")
    assert Money(1, "XAF") != Money(1, "EUR")


def test_an_unknown_currency_is_no_money() -> None:
    with pytest.raises(MoneyError):
        Money(1, "XXX")


@pytest.mark.invariant("S17")
@pytest.mark.parametrize("amount", [1.0, Decimal(1), True, "1"])
def test_only_an_integer_is_an_amount(amount: object) -> None:
    with pytest.raises(TypeError):
        Money(amount, "EUR")  # type: ignore[arg-type]


@given(AMOUNTS, AMOUNTS, CURRENCIES)
def test_sums_are_sums_of_minor_units(left: int, right: int, currency: str) -> None:
    total = Money(left, currency) + Money(right, currency)
    assert total.amount_minor == left + right
    assert total - Money(right, currency) == Money(left, currency)
    assert bool(total) is (left + right != 0)


@given(MONEY, st.integers(0, 20_000), st.integers(1, 20_000))
def test_a_share_is_rounded_half_up_once(money: Money, numerator: int, denominator: int) -> None:
    exact = Decimal(money.amount_minor * numerator) / Decimal(denominator)
    assert money.share(numerator, denominator).amount_minor == int(exact.quantize(Decimal(1), ROUND_HALF_UP))


@given(AMOUNTS)
def test_the_parity_is_655_957_half_up(francs: int) -> None:
    exact = Decimal(francs) / Decimal("655.957")
    assert xaf_to_eur(Money(francs, "XAF")).decimal() == str(exact.quantize(Decimal("0.01"), ROUND_HALF_UP)).replace(
        "-0.00", "0.00"
    )


@given(AMOUNTS)
def test_euros_come_back_within_the_cent_they_were_rounded_to(cents: int) -> None:
    euros = Money(cents, "EUR")
    back = xaf_to_eur(eur_to_xaf(euros))
    assert abs(back.amount_minor - cents) <= 1


@pytest.mark.parametrize(("francs", "euros"), [(25000, "38.11"), (50000, "76.22"), (100000, "152.45"), (0, "0.00")])
def test_prices_of_the_plans_in_euros(francs: int, euros: str) -> None:
    assert xaf_to_eur(Money(francs, "XAF")).decimal() == euros


@given(st.integers(0, 10**12))
def test_whole_units_are_reached_upwards_by_less_than_one(cents: int) -> None:
    whole = Money(cents, "EUR").ceil_to_major()
    assert whole.amount_minor % 100 == 0
    assert 0 <= whole.amount_minor - cents < 100


def money_modules() -> list[Path]:
    root = Path(billing.__file__).parent
    adapters = [path for name in ("paypal*", "mtn_momo*", "provider_http*") for path in (root / "adapters").glob(name)]
    return [*(root / "domain").rglob("*.py"), *(path for path in adapters if path.suffix == ".py"), root / "ports.py"]


@pytest.mark.invariant("S17")
@pytest.mark.parametrize("module", money_modules(), ids=lambda path: path.name)
def test_no_float_appears_where_money_is_handled(module: Path) -> None:
    found = [
        f"line {node.lineno}"
        for node in ast.walk(ast.parse(module.read_text()))
        if (isinstance(node, ast.Constant) and isinstance(node.value, float))
        or (isinstance(node, ast.Name) and node.id == "float")
        or (
            isinstance(node, ast.BinOp)
            and isinstance(node.op, ast.Div)
            and not isinstance(getattr(node.right, "value", None), str)
        )
    ]
    assert found == []
