"""MTN MoMo Collections as a payment provider: request to pay, then ask for its status.

The reference is a UUID v4 of ours, stored before the first call, and never replaced while it is unresolved: that is how
a customer would pay twice. A callback is only a hint, so nothing of it is read here. No refunds: they belong to another
product of MTN, under another contract.
"""

import json
import re
import unicodedata
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx

from billing.adapters.circuit import Circuit
from billing.adapters.provider_http import (
    BearerClient,
    Clock,
    MixedSettings,
    Token,
    is_loopback,
    require_https,
    token_for,
    unexpected,
)
from billing.domain.money import EXPONENTS, Money, MoneyError
from billing.ports import (
    AttemptView,
    ForeignNumber,
    ProviderError,
    ProviderMisconfigured,
    ProviderRefused,
    ProviderState,
    ProviderStatus,
    ProviderUnavailable,
    Started,
)

SANDBOX_HOST = "sandbox.momodeveloper.mtn.com"
ENVIRONMENTS = {
    "sandbox": "EUR",
    "mtncameroon": "XAF",
    "mtncongo": "XAF",
    "mtnbenin": "XOF",
    "mtnivorycoast": "XOF",
}
"""X-Target-Environment and the only currency that each takes."""

COUNTRY_CODES = {"mtncameroon": "237", "mtncongo": "242", "mtnbenin": "229", "mtnivorycoast": "225"}
"""Of the numbers that can pay in each country's system."""
TEST_NUMBER = re.compile(r"467331234[0-9]{2}")
"""MTN's own, which its sandbox answers in agreed ways."""

RENEW_TOKEN_EARLY = timedelta(minutes=10)
MESSAGE_LENGTH = 128
"""MTN says 160 in one place and 128 in another."""

STATES = {
    "PENDING": ProviderStatus.PENDING,
    "SUCCESSFUL": ProviderStatus.COMPLETED,
    "FAILED": ProviderStatus.FAILED,
}
OURS = frozenset(
    {
        "INVALID_CALLBACK_URL_HOST",
        "INVALID_CURRENCY",
        "NOT_ALLOWED",
        "NOT_ALLOWED_TARGET_ENVIRONMENT",
        "PAYEE_LIMIT_REACHED",
        "PAYEE_NOT_ALLOWED_TO_RECEIVE",
        "PAYEE_NOT_FOUND",
        "VALIDATION_ERROR",
    }
)
"""Codes that speak of our account or settings, though some come with HTTP 500: repeating them helps nobody."""
PAYERS = frozenset({"PAYER_NOT_FOUND", "PAYER_LIMIT_REACHED", "NOT_ENOUGH_FUNDS", "SENDER_ACCOUNT_NOT_ACTIVE"})

_LIGATURES = str.maketrans({"œ": "oe", "Œ": "OE", "æ": "ae", "Æ": "AE", "ß": "ss", "–": "-", "—": "-", "‑": "-"})


@dataclass(frozen=True)
class MoMoConfig:
    """Host, environment, currency and credentials of one account: one set, never mixed."""

    base_url: str
    subscription_key: str = field(repr=False)
    api_user: str
    api_key: str = field(repr=False)
    target_environment: str
    currency: str
    callback_base: str | None = None
    """https address to which the callback token is added; None: no callbacks, polling alone."""
    country_code: str = "237"
    limit: int | None = None
    """Most that one payment may be, in whole units; None: no limit is known."""
    timeout_seconds: int = 10

    def __post_init__(self) -> None:
        """Refuse a set that belongs to two environments.

        Raises:
            MixedSettings: with the first contradiction found.
        """
        require_https(self.base_url, "MTN MoMo base URL")
        if self.target_environment not in ENVIRONMENTS:
            raise MixedSettings(f"unknown MTN target environment {self.target_environment!r}")
        if self.currency != ENVIRONMENTS[self.target_environment]:
            raise MixedSettings(f"{self.target_environment} takes no {self.currency}")
        at_sandbox = urlsplit(self.base_url).hostname == SANDBOX_HOST
        if at_sandbox != (self.target_environment == "sandbox") and not is_loopback(self.base_url):
            raise MixedSettings(f"{self.target_environment} is not served at {self.base_url}")
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


def plain_text(text: str) -> str:
    """Reduced to what MTN takes in messages: ASCII letters, digits, space, dot and dash; never empty."""
    decomposed = unicodedata.normalize("NFKD", text.translate(_LIGATURES))
    ascii_only = "".join(char for char in decomposed if not unicodedata.combining(char))
    words = re.sub(r"[^A-Za-z0-9.\-]+", " ", ascii_only).split()
    return " ".join(words)[:MESSAGE_LENGTH].strip() or "Paiement"


class MtnMoMo:
    """The `PaymentProvider` for MTN MoMo."""

    name = "mtn_momo"
    payee: str | None = None

    def __init__(self, config: MoMoConfig, http: httpx.AsyncClient, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._client = BearerClient(
            http, config.base_url, config.timeout_seconds, self._fetch_token, clock, Circuit(self.name, clock)
        )

    @property
    def currency(self) -> str:
        return self._config.currency

    @property
    def most(self) -> Money | None:
        if self._config.limit is None:
            return None
        return Money(self._config.limit * 10 ** EXPONENTS[self.currency], self.currency)

    # --- the port ----------------------------------------------------------------------------------------------

    async def start(self, attempt: AttemptView) -> Started:
        """Ask the payer's phone for the money; a reference that MTN knows already counts as asked.

        Raises:
            ProviderUnavailable, ProviderRefused, ProviderMisconfigured: as the port says.
        """
        reference = _reference(attempt)
        content = json.dumps(self._request(attempt)).encode()
        headers = self._headers() | {"Content-Type": "application/json", "X-Reference-Id": reference}
        if self._config.callback_base is not None and attempt.callback_token is not None:
            # Left out altogether when there is no public address: an empty header is refused.
            headers["X-Callback-Url"] = f"{self._config.callback_base.rstrip('/')}/{attempt.callback_token}"
        answer = await self._client.call("POST", "/collection/v1_0/requesttopay", headers, content)
        if answer.status_code in (httpx.codes.ACCEPTED, httpx.codes.CONFLICT):
            return Started(reference)
        raise _refusal(answer)

    async def observe(self, attempt: AttemptView) -> ProviderState:
        """Read the status of the request to pay.

        Raises:
            ProviderUnavailable, ProviderMisconfigured: as the port says.
        """
        reference = _reference(attempt)
        answer = await self._client.call("GET", f"/collection/v1_0/requesttopay/{reference}", self._headers())
        body = _object(answer)
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
        problem = _refusal(answer)
        raise unexpected(problem) if isinstance(problem, ProviderRefused) else problem

    async def is_active(self, msisdn: str) -> bool | None:
        """Whether the number has a wallet; None where MTN does not say, which must not stop a payment.

        Raises:
            ProviderUnavailable: no answer.
        """
        path = f"/collection/v1_0/accountholder/msisdn/{normalise_msisdn(msisdn, self._config.country_code)}/active"
        answer = await self._client.call("GET", path, self._headers())
        if answer.status_code == httpx.codes.NOT_FOUND:
            return False
        result = _object(answer).get("result") if answer.is_success else None
        return result if isinstance(result, bool) else None

    # --- calls -------------------------------------------------------------------------------------------------

    def _headers(self) -> dict[str, str]:
        return {
            "Ocp-Apim-Subscription-Key": self._config.subscription_key,
            "X-Target-Environment": self._config.target_environment,
        }

    def _request(self, attempt: AttemptView) -> dict[str, Any]:
        try:
            payer = normalise_msisdn(attempt.phone_number or "", self._config.country_code)
        except ValueError as error:
            raise ProviderRefused("INVALID_PHONE_NUMBER", str(error)) from error
        return {
            "amount": self._whole(attempt.amount),
            "currency": attempt.amount.currency,
            "externalId": str(attempt.payment_id),
            "payer": {"partyIdType": "MSISDN", "partyId": payer},
            "payerMessage": plain_text(attempt.description or attempt.reference),
            "payeeNote": plain_text(attempt.reference),
        }

    def _whole(self, amount: Money) -> str:
        if amount.currency != self.currency:
            raise ProviderMisconfigured("INVALID_CURRENCY", f"MTN is charged in {self.currency} here")
        whole, rest = divmod(amount.amount_minor, 10 ** EXPONENTS[amount.currency])
        if rest or whole <= 0:
            raise ProviderRefused("AMOUNT_NOT_WHOLE", f"MTN takes whole {amount.currency}, not {amount.decimal()}")
        return str(whole)

    async def _fetch_token(self) -> Token:
        answer = await self._client.send(
            "POST",
            "/collection/token/",
            {"Ocp-Apim-Subscription-Key": self._config.subscription_key},
            auth=(self._config.api_user, self._config.api_key),
        )
        if answer.is_success:
            body = _object(answer)
            # A number in the schema, a text in older answers.
            lifetime = timedelta(seconds=int(body["expires_in"]))
            return token_for(str(body["access_token"]), lifetime, RENEW_TOKEN_EARLY, self._clock())
        error = _object(answer).get("error")
        if error is None and answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise ProviderUnavailable(f"http_{answer.status_code}", "token")
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise ProviderUnavailable("http_429", "token")
        # Wrong credentials come as HTTP 500 with login_failed; no repetition makes them right.
        raise ProviderMisconfigured(str(error or f"http_{answer.status_code}"), "token")


def _reference(attempt: AttemptView) -> str:
    """The attempt's own UUID v4.

    Raises:
        ValueError: the row has none; it must be stored before any call.
    """
    parsed = UUID(attempt.provider_reference or "")
    if parsed.version != 4:
        raise ValueError("MTN takes references of UUID version 4 only")
    return str(parsed)


def _object(answer: httpx.Response) -> dict[str, Any]:
    """The body, or nothing: MTN's refusals often have an empty one."""
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _state(body: dict[str, Any], reference: str) -> ProviderState:
    word = str(body.get("status"))
    reason = _reason(body.get("reason"))
    receipt = body.get("financialTransactionId")
    return ProviderState(
        status=STATES.get(word, ProviderStatus.UNKNOWN),
        provider_status=word,
        provider_reference=reference,
        receipt_reference=None if receipt is None else str(receipt),
        amount=_money(body),
        payment_id=_external_id(body),
        reason_code=reason,
        needs_operator=reason in OURS,
    )


def _reason(data: Any) -> str | None:
    """The code of a failure: an object in the schema, a bare text in real answers, with or without a final dot."""
    code = data.get("code") if isinstance(data, dict) else data
    return str(code).rstrip(".") if code else None


def _money(body: dict[str, Any]) -> Money | None:
    try:
        return Money.read(str(body.get("amount")), str(body.get("currency")))
    except MoneyError:
        return None


def _external_id(body: dict[str, Any]) -> UUID | None:
    try:
        return UUID(str(body.get("externalId")))
    except ValueError:
        return None


def _refusal(answer: httpx.Response) -> ProviderError:
    """What an unsuccessful answer means; the code decides before the status does."""
    status = answer.status_code
    body = _object(answer)
    code = str(body.get("code") or f"http_{status}")
    message = str(body.get("message", ""))
    if code in PAYERS:
        return ProviderRefused(code, message)
    if code in OURS:
        return ProviderMisconfigured(code, message)
    if status in (httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS) or status >= 500:
        return ProviderUnavailable(code, message)
    if status == httpx.codes.BAD_REQUEST:
        return ProviderRefused("VALIDATION_ERROR", message)
    return ProviderMisconfigured(code, message)
