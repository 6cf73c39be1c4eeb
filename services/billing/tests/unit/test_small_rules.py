"""Return addresses, charges, the ledger's entries, receipts by content, settings, texts of errors."""

import inspect
from pathlib import Path
from typing import Any

import pytest
from billing import errors
from billing.domain.charging import charge_for
from billing.domain.coupon import CouponRefusal
from billing.domain.ledger import Entry, EntryKind, Posting, allocated, invoiced, kept_as_credit, received
from billing.domain.money import Money, MoneyError
from billing.domain.reason import explain
from billing.domain.return_url import may_return_to, origin_of
from billing.errors import ReceiptTypeUnsupported
from billing.settings import Settings
from billing.usecases.steps.drafting import NUMBER_ALPHABET, order_number
from billing.workflows.receiving import content_type
from common.errors import DomainError
from common.ids import uuid7
from common.testing import FrozenClock
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "url",
    [
        "//evil.com", "javascript:alert(1)", "https://user:pw@app.example/", "https://app.example@evil.com/",
        "https:///path", "ftp://app.example/", "https://app.example\\@evil.com/", "https://app.example/\nx",
        "https://app.example:99999/", "not a url", "",
    ],
)  # fmt: skip
def test_an_address_that_is_none_has_no_origin(url: str) -> None:
    assert origin_of(url) is None
    assert not may_return_to(url, None)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://app.example/ok?x=1", True),
        ("https://app.example:443/ok", True),
        ("http://app.example/", False),
        ("https://app.example.evil.com/", False),
        ("https://app.example:8443/", False),
    ],
)
def test_only_listed_origins_are_returned_to(url: str, allowed: bool) -> None:
    assert may_return_to(url, frozenset({"https://app.example"})) is allowed


@pytest.mark.parametrize(
    ("url", "allowed"),
    [("https://any.example/", True), ("http://localhost:5173/x", True), ("http://[::1]:80/", True),
     ("http://any.example/", False)],
)  # fmt: skip
def test_without_a_list_any_https_origin_and_loopback_are(url: str, allowed: bool) -> None:
    assert may_return_to(url, None) is allowed


def test_xaf_is_charged_in_euros_at_the_parity_and_whole_euros_where_wanted() -> None:
    assert charge_for(Money(25_000, "XAF"), "EUR", whole_units=False).amount == Money(3_811, "EUR")
    assert charge_for(Money(25_000, "XAF"), "EUR", whole_units=True).amount == Money(3_900, "EUR")
    same = charge_for(Money(25_000, "XAF"), "XAF", whole_units=True)
    assert (same.amount, same.rate_numerator, same.rate_denominator) == (Money(25_000, "XAF"), 1, 1)


@pytest.mark.parametrize(("francs", "cents"), [(1, 1), (3, 1), (7, 1), (9, 1), (10, 2)])
def test_a_rest_of_a_few_francs_is_charged_at_least_a_cent(francs: int, cents: int) -> None:
    assert charge_for(Money(francs, "XAF"), "EUR", whole_units=False).amount == Money(cents, "EUR")


def test_there_is_no_rate_but_the_parity() -> None:
    with pytest.raises(MoneyError, match="no fixed rate"):
        charge_for(Money(25_000, "XAF"), "USD", whole_units=False)


amount = st.integers(1, 10**9)


@given(charged=amount, worth=amount, tax=st.integers(0, 10**9))
def test_every_entry_balances_in_each_currency(charged: int, worth: int, tax: int) -> None:
    some = uuid7()
    entries = [
        received(some, "paypal", Money(charged, "EUR"), Money(worth, "XAF")),
        received(some, "mtn_momo", Money(charged, "XAF"), Money(worth, "XAF")),
        allocated(some, Money(worth, "XAF")),
        kept_as_credit(some, Money(worth, "XAF")),
        invoiced(some, Money(worth, "XAF"), Money(tax, "XAF")),
    ]
    for entry in entries:
        for currency in ("XAF", "EUR"):
            assert sum(p.amount.amount_minor for p in entry.postings if p.amount.currency == currency) == 0


def test_an_unbalanced_entry_cannot_be_made() -> None:
    with pytest.raises(AssertionError, match="unbalanced"):
        Entry(EntryKind.PAYMENT, uuid7(), (Posting("revenue", Money(1, "XAF")),))


@pytest.mark.invariant("S41")
@given(content=st.binary(max_size=200))
def test_random_bytes_are_no_receipt(content: bytes) -> None:
    with pytest.raises(ReceiptTypeUnsupported):
        content_type(content)


def test_order_numbers_name_their_day_and_can_be_read_aloud() -> None:
    numbers = {order_number(FrozenClock().now()) for _ in range(100_000)}
    assert len(numbers) == 100_000
    for number in list(numbers)[:200]:
        prefix, day, rest = number.split("-")
        assert (prefix, day, len(rest)) == ("ORD", "20261122", 10)
        assert set(rest) <= set(NUMBER_ALPHABET)


@pytest.mark.parametrize("code", ["TRANSACTION_CANCELED", "TRANSACTION_CANCELED."])
def test_reasons_are_told_in_both_languages_with_or_without_a_dot(code: str) -> None:
    assert explain(code, "fr") == "Le paiement a été annulé. Réessayez ou choisissez un autre moyen."
    assert explain(code, "en") == "The payment was cancelled. Try again or choose another method."
    assert explain("NEVER_HEARD_OF", "en") == "The payment did not succeed. Try again or choose another method."
    assert explain(None, "fr") is None


ERRORS = [
    found
    for _name, found in inspect.getmembers(errors, inspect.isclass)
    if issubclass(found, DomainError) and found.__module__.startswith("billing.errors")
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_has_texts_in_both_languages_that_name_the_same_fields(error: type[DomainError]) -> None:
    from string import Formatter

    fields = [{name for _t, name, _f, _c in Formatter().parse(text) if name} for text in (error.en, error.fr)]
    assert fields[0] == fields[1]
    assert error.en != error.fr
    made = error(**dict.fromkeys(fields[0], "x"))
    assert made.text("fr")
    assert made.text("en")


@pytest.mark.parametrize("refusal", CouponRefusal)
def test_why_a_coupon_does_not_hold_is_told_in_words(refusal: CouponRefusal) -> None:
    told = [errors.CouponRefused(reason=refusal.value).text(language) for language in ("en", "fr")]
    assert told[0] != told[1]
    assert all(refusal.value not in text for text in told if refusal is not CouponRefusal.EXPIRED)


@pytest.mark.parametrize(
    ("where", "french"),
    [("the header", "l'en-tête"), ("row 7", "ligne 7"), ("entry A-1", "écriture A-1"), ("the XML", "le XML"),
     ("the account", "le compte"), ("the file", "le fichier"), ("more than 20000 entries", "plus de 20000 écritures")],
)  # fmt: skip
def test_where_a_statement_cannot_be_read_is_told_in_french_too(where: str, french: str) -> None:
    error = errors.StatementUnreadable(where=where)
    assert error.text("fr").endswith(f": {french}.")
    assert error.text("en").endswith(f": {where}.")


@pytest.mark.parametrize(("exponent", "said"), [("?", "devise"), (0, "sans décimales"), (2, "écrit avec 2 décimales")])
def test_an_amount_that_is_none_is_told_as_its_currency_is_written(exponent: object, said: str) -> None:
    assert said in errors.AmountInvalid(exponent=exponent, currency="XAF").text("fr")


def test_an_order_that_is_paid_asks_for_no_other_one() -> None:
    told = [errors.OrderNotPayable(state=state).text("fr") for state in ("completed", "cancelled")]
    assert ["déjà payée" in text for text in told] == [True, False]
    assert ["nouvelle commande" in text for text in told] == [False, True]


def test_error_codes_are_unique_and_every_error_is_drawn_in_the_tree() -> None:
    assert len({error.code for error in ERRORS}) == len(ERRORS)
    assert errors.__doc__ is not None
    for error in ERRORS:
        assert error.__name__ in errors.__doc__, error


def given_settings(**values: Any) -> Settings:
    base: dict[str, Any] = {
        "database_url": "postgresql://127.0.0.1:5432/billing",
        "database_password": "a password of the tests",
        "gateway_public_keys": [],
        "email_host": "127.0.0.1",
        "receipts_folder": Path("receipts"),
        "paypal_mode": "live",
        "paypal_client_id": "id",
        "paypal_client_secret": "secret",
        "paypal_webhook_id": "WH",
        "mtn_momo_subscription_key": "key",
        "mtn_momo_user_id": "user",
        "mtn_momo_api_key": "key",
        "bank_name": "Bank",
        "bank_account_name": "Holder",
        "bank_account_number": "1",
    }
    return Settings(**(base | values))


@pytest.mark.parametrize(
    ("missing", "name"),
    [
        ("paypal_client_id", "PAYPAL_CLIENT_ID"),
        ("paypal_webhook_id", "PAYPAL_WEBHOOK_ID"),
        ("mtn_momo_api_key", "MTN_MOMO_API_KEY"),
        ("bank_account_number", "BANK_ACCOUNT_NUMBER"),
    ],
)
def test_a_method_that_is_on_must_be_configured_in_full(missing: str, name: str) -> None:
    with pytest.raises(ValidationError, match=f"missing: {name}"):
        given_settings(**{missing: ""})


def test_refunds_by_mtn_want_all_of_their_credentials_or_none() -> None:
    assert not given_settings().mtn_momo_refunds
    with pytest.raises(ValidationError, match="missing: MTN_MOMO_DISBURSEMENT_USER_ID, MTN_MOMO_DISBURSEMENT_API_KEY"):
        given_settings(mtn_momo_disbursement_key="key")
    assert given_settings(
        mtn_momo_disbursement_key="key", mtn_momo_disbursement_user_id="u", mtn_momo_disbursement_api_key="k"
    ).mtn_momo_refunds


def test_a_method_that_is_off_needs_nothing() -> None:
    settings = given_settings(payment_methods=["bank_transfer"], paypal_client_id="", mtn_momo_api_key="")
    assert settings.payment_methods == ["bank_transfer"]


def test_the_guides_names_are_accepted_and_ours_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANK_NAME", "Guide's")
    monkeypatch.setenv("BANK_BRANCH", "Agence")
    monkeypatch.setenv("BILLING_BANK_NAME", "Ours")
    values = given_settings().model_dump(exclude={"bank_name", "bank_branch"})
    found = Settings(**values)
    assert (found.bank_name, found.bank_branch) == ("Ours", "Agence")


def test_production_returns_browsers_to_the_app_only() -> None:
    assert given_settings(environment="production", app_base_url="https://app.cm/x").return_origins == frozenset(
        {"https://app.cm"}
    )
    assert given_settings(environment="development").return_origins is None
    with pytest.raises(ValidationError, match="not an origin"):
        given_settings(payment_return_origins=["https://app.cm/path"])


def test_production_of_mtn_is_the_countrys_environment() -> None:
    assert given_settings().mtn_momo_target == "mtncameroon"
    tried = given_settings(environment="test", mtn_momo_environment="sandbox")
    assert tried.mtn_momo_target == "sandbox"
    with pytest.raises(ValidationError, match="no fixed rate is known for mtnghana"):
        given_settings(mtn_momo_country="mtnghana")


@pytest.mark.parametrize("setting", ["paypal_mode", "mtn_momo_environment"])
def test_production_sells_nothing_for_a_sandboxs_play_money(setting: str) -> None:
    with pytest.raises(ValidationError, match=f"play money: {setting.upper()} is sandbox"):
        given_settings(**{setting: "sandbox"})
    given_settings(environment="development", **{setting: "sandbox"})
    given_settings(payment_methods=["bank_transfer"], **{setting: "sandbox"})


def test_secrets_are_not_shown() -> None:
    assert "hidden-value" not in repr(given_settings(paypal_client_secret="hidden-value"))
