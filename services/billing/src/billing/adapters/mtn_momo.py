"""MTN MoMo Collection as a payment provider: request to pay, then ask for its status.

The reference is a UUID v4 of ours, stored before the first call, and never replaced while it is unresolved: that is how
a customer would pay twice. A callback is only a hint, so nothing of it is read here. No refunds: they belong to another
product of MTN, under another contract (`mtn_disbursement`).
"""

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from billing.adapters.circuit import Circuit
from billing.adapters.mtn_wire import (
    OURS,
    STATES,
    MtnAccount,
    MtnProduct,
    answer_object,
    external_id,
    money_of,
    plain_text,
    reason_of,
    reference_of,
    refusal_of,
)
from billing.adapters.provider_http import Clock, MixedSettings, unexpected
from billing.domain.money import EXPONENTS, Money
from billing.ports import AttemptView, ForeignNumber, ProviderRefused, ProviderState, ProviderStatus, Started

COUNTRY_CODES = {"mtncameroon": "237", "mtncongo": "242", "mtnbenin": "229", "mtnivorycoast": "225"}
"""Of the numbers that can pay in each country's system."""
TEST_NUMBER = re.compile(r"467331234[0-9]{2}")
"""MTN's own, which its sandbox answers in agreed ways."""


@dataclass(frozen=True, kw_only=True)
class MoMoConfig(MtnAccount):
    """The account that collects, and where MTN calls back."""

    callback_base: str | None = None
    """https address to which the callback token is added; None: no callbacks, polling alone."""
    country_code: str = "237"
    limit: int | None = None
    """Most that one payment may be, in whole units; None: no limit is known."""

    def __post_init__(self) -> None:
        """Refuse a set that belongs to two environments.

        Raises:
            MixedSettings: with the first contradiction found.
        """
        MtnAccount.__post_init__(self)
        if self.callback_base is not None and urlsplit(self.callback_base).scheme != "https":
            raise MixedSettings("MTN calls back to https addresses only")


def normalise_msisdn(text: str, country_code: str = "237") -> str:
    """Digits with country code and no plus, from any usual spelling of a number.

    Cameroonian numbers are nine digits that start with 6; MTN's own prefixes are not checked, numbers are portable.

    Raises:
        ValueError: no such number.
    """
    digits = re.sub(r"[\s().\-/]", "", text)
    international = digits.startswith(("+", "00"))
    digits = digits.removeprefix("+")
    digits = digits.removeprefix("00") if international else digits
    if not digits.isascii() or not digits.isdigit():
        raise ValueError("a telephone number has digits only")
    if not international and country_code == "237" and re.fullmatch("6[0-9]{8}", digits):
        digits = country_code + digits
    if digits.startswith("237") and not re.fullmatch("2376[0-9]{8}", digits):
        raise ValueError("a Cameroonian mobile number has nine digits and starts with 6")
    if not re.fullmatch("[1-9][0-9]{9,14}", digits):
        raise ValueError("a telephone number has ten to fifteen digits with its country code")
    return digits


def payer_number(text: str, target_environment: str, *, test_numbers: bool) -> str:
    """Return a number that can pay in a country's system; MTN's wallets do not pay across borders here.

    Args:
        text: In any usual spelling.
        target_environment: The country's; MTN's sandbox takes any number.
        test_numbers: Whether those of MTN's sandbox are taken too: stand-ins answer by them.

    Raises:
        ForeignNumber: The number is another country's.
        ValueError: It is no number.
    """
    country_code = COUNTRY_CODES.get(target_environment)
    digits = normalise_msisdn(text, country_code or "237")
    if country_code is None or digits.startswith(country_code) or (test_numbers and TEST_NUMBER.fullmatch(digits)):
        return digits
    raise ForeignNumber(country_code)


class MtnMoMo:
    """The `PaymentProvider` for MTN MoMo."""

    name = "mtn_momo"
    payee: str | None = None

    def __init__(self, config: MoMoConfig, http: httpx.AsyncClient, clock: Clock) -> None:
        self._config = config
        self._product = MtnProduct("collection", config, http, clock, Circuit(self.name, clock))

    def charges(self, currency: str) -> str | None:
        """Orders in the country's currency; the sandbox, which knows EUR only, stands in for a country of XAF."""
        country = "XAF" if self._config.target_environment == "sandbox" else self._config.currency
        return self._config.currency if currency == country else None

    @property
    def most(self) -> Money | None:
        if self._config.limit is None:
            return None
        currency = self._config.currency
        return Money(self._config.limit * 10 ** EXPONENTS[currency], currency)

    # --- the port ----------------------------------------------------------------------------------------------

    async def start(self, attempt: AttemptView) -> Started:
        """Ask the payer's phone for the money; a reference that MTN knows already counts as asked.

        Raises:
            ProviderUnavailable, ProviderRefused, ProviderMisconfigured: as the port says.
        """
        reference = reference_of(attempt.provider_reference)
        content = json.dumps(self._request(attempt)).encode()
        callback_url = None
        if self._config.callback_base is not None and attempt.callback_token is not None:
            callback_url = f"{self._config.callback_base.rstrip('/')}/{attempt.callback_token}"
        answer = await self._product.post("/v1_0/requesttopay", reference, content, callback_url)
        if answer.status_code in (httpx.codes.ACCEPTED, httpx.codes.CONFLICT):
            return Started(reference)
        raise refusal_of(answer)

    async def observe(self, attempt: AttemptView) -> ProviderState:
        """Read the status of the request to pay.

        Raises:
            ProviderUnavailable, ProviderMisconfigured: as the port says.
        """
        reference = reference_of(attempt.provider_reference)
        answer = await self._product.get(f"/v1_0/requesttopay/{reference}")
        body = answer_object(answer)
        if answer.is_success:
            return _state(body, reference)
        if answer.status_code == httpx.codes.NOT_FOUND and body.get("code") == "RESOURCE_NOT_FOUND":
            return ProviderState(
                status=ProviderStatus.UNKNOWN,
                provider_status="404",
                provider_reference=reference,
                reason_code="RESOURCE_NOT_FOUND",
                not_received=True,
            )
        problem = refusal_of(answer)
        raise unexpected(problem) if isinstance(problem, ProviderRefused) else problem

    async def is_active(self, msisdn: str) -> bool | None:
        """Whether the number has a wallet; None where MTN does not say, which must not stop a payment.

        Raises:
            ProviderUnavailable: no answer.
        """
        number = normalise_msisdn(msisdn, self._config.country_code)
        answer = await self._product.get(f"/v1_0/accountholder/msisdn/{number}/active")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return False
        result = answer_object(answer).get("result") if answer.is_success else None
        return result if isinstance(result, bool) else None

    # --- calls -------------------------------------------------------------------------------------------------

    def _request(self, attempt: AttemptView) -> dict[str, Any]:
        try:
            payer = normalise_msisdn(attempt.phone_number or "", self._config.country_code)
        except ValueError as error:
            raise ProviderRefused("INVALID_PHONE_NUMBER", str(error)) from error
        return {
            "amount": self._product.whole(attempt.amount),
            "currency": attempt.amount.currency,
            "externalId": str(attempt.payment_id),
            "payer": {"partyIdType": "MSISDN", "partyId": payer},
            "payerMessage": plain_text(attempt.description or attempt.reference),
            "payeeNote": plain_text(attempt.reference),
        }


def _state(body: dict[str, Any], reference: str) -> ProviderState:
    word = str(body.get("status"))
    reason = reason_of(body.get("reason"))
    receipt = body.get("financialTransactionId")
    return ProviderState(
        status=STATES.get(word, ProviderStatus.UNKNOWN),
        provider_status=word,
        provider_reference=reference,
        receipt_reference=None if receipt is None else str(receipt),
        amount=money_of(body),
        payment_id=external_id(body),
        reason_code=reason,
        needs_operator=reason in OURS,
    )
