"""What the products of MTN MoMo have in common: who signs in, how money and texts are written, what answers mean.

Each product (Collection, Disbursement) has a subscription key, an API user and tokens of its own.
"""

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
)
from billing.domain.money import EXPONENTS, Money, MoneyError
from billing.ports import ProviderError, ProviderMisconfigured, ProviderRefused, ProviderStatus, ProviderUnavailable

SANDBOX_HOST = "sandbox.momodeveloper.mtn.com"
ENVIRONMENTS = {
    "sandbox": "EUR",
    "mtncameroon": "XAF",
    "mtncongo": "XAF",
    "mtnbenin": "XOF",
    "mtnivorycoast": "XOF",
}
"""X-Target-Environment and the only currency that each takes."""

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


@dataclass(frozen=True, kw_only=True)
class MtnAccount:
    """Host, environment, currency and credentials of one product: one set, never mixed."""

    base_url: str
    subscription_key: str = field(repr=False)
    api_user: str
    api_key: str = field(repr=False)
    target_environment: str
    currency: str
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


class MtnProduct:
    """Signed-in calls to one product.

    Args:
        name: Of the product, first part of its paths.
        account: Who signs in.
        http: The client.
        clock: The time.
        circuit: Stops asking a product that is down for a while.
    """

    def __init__(self, name: str, account: MtnAccount, http: httpx.AsyncClient, clock: Clock, circuit: Circuit) -> None:
        self._name = name
        self._account = account
        self._clock = clock
        self._client = BearerClient(http, account.base_url, account.timeout_seconds, self._fetch_token, clock, circuit)

    async def get(self, path: str) -> httpx.Response:
        """Ask; any answer but 401 is returned as it is."""
        return await self._client.call("GET", f"/{self._name}{path}", self._headers())

    async def post(self, path: str, reference: str, content: bytes, callback_url: str | None = None) -> httpx.Response:
        """Send a request under a reference of ours; any answer but 401 is returned as it is."""
        headers = self._headers() | {"Content-Type": "application/json", "X-Reference-Id": reference}
        if callback_url is not None:
            # Left out altogether when there is no public address: an empty header is refused.
            headers["X-Callback-Url"] = callback_url
        return await self._client.call("POST", f"/{self._name}{path}", headers, content)

    def whole(self, amount: Money) -> str:
        """Return an amount as MTN takes it, in whole units.

        Raises:
            ProviderMisconfigured: it is in another currency than the environment's.
            ProviderRefused: it has decimals.
        """
        currency = self._account.currency
        if amount.currency != currency:
            raise ProviderMisconfigured("INVALID_CURRENCY", f"MTN is charged in {currency} here")
        whole, rest = divmod(amount.amount_minor, 10 ** EXPONENTS[amount.currency])
        if rest or whole <= 0:
            raise ProviderRefused("AMOUNT_NOT_WHOLE", f"MTN takes whole {amount.currency}, not {amount.decimal()}")
        return str(whole)

    def _headers(self) -> dict[str, str]:
        return {
            "Ocp-Apim-Subscription-Key": self._account.subscription_key,
            "X-Target-Environment": self._account.target_environment,
        }

    async def _fetch_token(self) -> Token:
        answer = await self._client.send(
            "POST",
            f"/{self._name}/token/",
            {"Ocp-Apim-Subscription-Key": self._account.subscription_key},
            auth=(self._account.api_user, self._account.api_key),
        )
        if answer.is_success:
            body = answer_object(answer)
            # A number in the schema, a text in older answers.
            lifetime = timedelta(seconds=int(body["expires_in"]))
            return token_for(str(body["access_token"]), lifetime, RENEW_TOKEN_EARLY, self._clock())
        error = answer_object(answer).get("error")
        if error is None and answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise ProviderUnavailable(f"http_{answer.status_code}", "token")
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise ProviderUnavailable("http_429", "token")
        # Wrong credentials come as HTTP 500 with login_failed; no repetition makes them right.
        raise ProviderMisconfigured(str(error or f"http_{answer.status_code}"), "token")


def reference_of(text: str | None) -> str:
    """A row's own UUID v4.

    Raises:
        ValueError: the row has none; it must be stored before any call.
    """
    parsed = UUID(text or "")
    if parsed.version != 4:
        raise ValueError("MTN takes references of UUID version 4 only")
    return str(parsed)


def plain_text(text: str) -> str:
    """Reduced to what MTN takes in messages: ASCII letters, digits, space, dot and dash; never empty."""
    decomposed = unicodedata.normalize("NFKD", text.translate(_LIGATURES))
    ascii_only = "".join(char for char in decomposed if not unicodedata.combining(char))
    words = re.sub(r"[^A-Za-z0-9.\-]+", " ", ascii_only).split()
    return " ".join(words)[:MESSAGE_LENGTH].strip() or "Paiement"


def answer_object(answer: httpx.Response) -> dict[str, Any]:
    """The body, or nothing: MTN's refusals often have an empty one."""
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def reason_of(data: Any) -> str | None:
    """The code of a failure: an object in the schema, a bare text in real answers, with or without a final dot."""
    code = data.get("code") if isinstance(data, dict) else data
    return str(code).rstrip(".") if code else None


def money_of(body: dict[str, Any]) -> Money | None:
    try:
        return Money.read(str(body.get("amount")), str(body.get("currency")))
    except MoneyError:
        return None


def external_id(body: dict[str, Any]) -> UUID | None:
    try:
        return UUID(str(body.get("externalId")))
    except ValueError:
        return None


def refusal_of(answer: httpx.Response) -> ProviderError:
    """What an unsuccessful answer means; the code decides before the status does."""
    status = answer.status_code
    body = answer_object(answer)
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
