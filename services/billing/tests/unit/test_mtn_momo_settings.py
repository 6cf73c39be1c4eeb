"""What the MoMo adapter decides without a network: numbers, messages, and sets of settings that do not mix."""

from typing import Any

import pytest
from billing.adapters.mtn_momo import MoMoConfig, normalise_msisdn, payer_number
from billing.adapters.mtn_wire import MESSAGE_LENGTH, OURS, PAYERS, plain_text
from billing.adapters.provider_http import MixedSettings
from billing.domain import reason
from billing.ports import ForeignNumber
from hypothesis import given
from hypothesis import strategies as st

CAMEROON: dict[str, Any] = {
    "base_url": "https://proxy.momoapi.mtn.com",
    "subscription_key": "subscription-secret",
    "api_user": "user",
    "api_key": "api-secret",
    "target_environment": "mtncameroon",
    "currency": "XAF",
    "callback_base": "https://backup.example/webhooks/mtn-momo",
}
SANDBOX = {"base_url": "https://sandbox.momodeveloper.mtn.com", "target_environment": "sandbox", "currency": "EUR"}


@pytest.mark.parametrize("change", [{}, SANDBOX, {"base_url": "http://127.0.0.1:8001"}, {"callback_base": None}])
def test_a_set_of_one_environment_is_taken(change: dict[str, Any]) -> None:
    config = MoMoConfig(**(CAMEROON | change))
    assert "secret" not in repr(config)


@pytest.mark.parametrize(
    "change",
    [
        {"currency": "EUR"},
        {"target_environment": "sandbox"},
        {"target_environment": "sandbox", "currency": "EUR"},
        {"target_environment": "production"},
        {"base_url": "https://sandbox.momodeveloper.mtn.com"},
        {"base_url": "http://proxy.momoapi.mtn.com"},
        {"callback_base": "http://backup.example/webhooks/mtn-momo"},
        SANDBOX | {"currency": "XAF"},
    ],
    ids=str,
)
def test_a_mixed_set_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(MixedSettings):
        MoMoConfig(**(CAMEROON | change))


@pytest.mark.parametrize(
    "text",
    ["237670000001", "+237670000001", "00237 670 000 001", "670000001", "6 70 00 00 01", "(+237) 670-00-00-01"],
)
def test_every_usual_spelling_is_one_number(text: str) -> None:
    assert normalise_msisdn(text) == "237670000001"


def test_a_foreign_number_keeps_its_country() -> None:
    assert normalise_msisdn("+46 733 123 453") == "46733123453"
    assert normalise_msisdn("46733123453") == "46733123453"


@pytest.mark.parametrize(
    "text",
    ["", "12", "+23767000000", "2376700000012", "237222000001", "abc", "+2376700000a1", "0670000001", "٦٧٠٠٠٠٠٠١"],
)
def test_what_is_no_mobile_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="number"):
        normalise_msisdn(text)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Échéance d'août – n° 3", "Echeance d aout - n 3"),
        ("Dupont & fils <b>", "Dupont fils b"),
        ("Cœur", "Coeur"),
        ("支付", "Paiement"),
        ("", "Paiement"),
    ],
)
def test_messages_are_reduced_to_what_mtn_takes(text: str, plain: str) -> None:
    assert plain_text(text) == plain


@given(st.text())
def test_no_text_makes_a_message_that_mtn_refuses(text: str) -> None:
    from simulators.mtn_momo.checks import TEXT

    message = plain_text(text)
    assert 1 <= len(message) <= MESSAGE_LENGTH
    assert TEXT.fullmatch(message)


@pytest.mark.parametrize(
    ("target", "ours", "foreign"),
    [("mtncameroon", "237670000001", "242066000001"), ("mtncongo", "+242 06 600 0001", "237670000001")],
)
def test_only_numbers_of_the_country_can_pay(target: str, ours: str, foreign: str) -> None:
    assert payer_number(ours, target, test_numbers=False) == normalise_msisdn(ours)
    for number in (foreign, "+33 6 12 34 56 78", "46733123450"):
        with pytest.raises(ForeignNumber):
            payer_number(number, target, test_numbers=False)


def test_the_sandboxes_own_numbers_pay_where_nobody_sells_for_real() -> None:
    assert payer_number("46733123450", "mtncameroon", test_numbers=True) == "46733123450"
    assert payer_number("46733123450", "sandbox", test_numbers=False) == "46733123450"
    with pytest.raises(ForeignNumber):
        payer_number("46733999999", "mtncameroon", test_numbers=True)


RESEARCHED = {
    *OURS,
    *PAYERS,
    *("INTERNAL_PROCESSING_ERROR", "APPROVAL_REJECTED", "PAYMENT_NOT_APPROVED", "EXPIRED", "SERVICE_UNAVAILABLE"),
    *("COULD_NOT_PERFORM_TRANSACTION", "TRANSACTION_CANCELED", "RESOURCE_NOT_FOUND", "INVALID_PHONE_NUMBER"),
}


@pytest.mark.parametrize("code", sorted(RESEARCHED))
def test_every_code_of_mtn_has_a_sentence_of_its_own_in_both_languages(code: str) -> None:
    unknown = {language: reason.explain("SOMETHING_NEW", language) for language in ("fr", "en")}
    french, english = reason.explain(code, "fr"), reason.explain(f"{code}.", "en")
    assert french not in {english, unknown["fr"]}
    assert english != unknown["en"]
    for said in (french, english):
        assert said is not None
        assert said.endswith(".")


def test_whoever_cannot_help_it_is_not_told_to_try_the_same_again() -> None:
    for code in OURS:
        assert "Choose another method." in str(reason.explain(code, "en"))
        assert "Try again" not in str(reason.explain(code, "en"))
    assert reason.OURS >= OURS
