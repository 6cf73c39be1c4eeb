"""PayPal Orders v2 as a payment provider: create, capture what the payer approved, refund.

A COMPLETED order is not money: only its capture tells. Every create, capture and refund carries an idempotency key that
the caller stored before. Not here: webhooks (`paypal_webhooks.py`), reading PayPal's bodies (`paypal_answers.py`).
"""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx

from billing.adapters import paypal_answers as answers
from billing.adapters.circuit import Circuit
from billing.adapters.provider_http import (
    RETRYABLE_STATUSES,
    BearerClient,
    Clock,
    MixedSettings,
    Token,
    require_https,
    token_for,
    unexpected,
)
from billing.domain.money import EXPONENTS, Money
from billing.domain.reconciliation import Movement
from billing.ports import (
    AttemptView,
    DisputeState,
    ProviderMisconfigured,
    ProviderRefused,
    ProviderState,
    ProviderStatus,
    ProviderUnavailable,
    RefundState,
    RefundView,
    Started,
)

CURRENCIES = frozenset(
    "AUD BRL CAD CNY CZK DKK EUR HKD HUF ILS JPY MYR MXN TWD NZD NOK PHP PLN GBP SGD SEK CHF THB USD".split()  # noqa: SIM905
)
"""What PayPal takes (https://developer.paypal.com/reports/reference/supported-currencies); XAF is not among them."""

ORDER_KEY_LIFE = timedelta(hours=6)
"""How long PayPal remembers an order's idempotency key; later the same create would make a second order."""
ORDER_LIFE = timedelta(hours=72)
"""The longest that PayPal lets an order wait for its payer; once gone after that, it was never paid."""
RENEW_TOKEN_EARLY = timedelta(minutes=10)
TEXT_LENGTH = 127
LIST_PAGE = 500
"""The most that one page of the transaction search has."""
LOCALES = {"fr": "fr-FR", "en": "en-US"}
JSON = {"Content-Type": "application/json"}
REPRESENTATION = {"Prefer": "return=representation"}


@dataclass(frozen=True)
class PayPalConfig:
    """One REST app: host and credentials of the same environment, and the currencies in which we are paid.

    ``currency`` is charged for orders in XAF, which PayPal does not take, at the fixed parity; ``currencies`` are those
    that the account holds: orders in them are charged as they are.
    """

    base_url: str
    client_id: str
    client_secret: str = field(repr=False)
    currency: str = "EUR"
    currencies: frozenset[str] = frozenset({"EUR", "USD"})
    merchant_id: str | None = None
    brand_name: str = "ESXi Backup Manager"
    timeout_seconds: int = 10

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            MixedSettings: a currency that PayPal does not take, or an address without https.
        """
        require_https(self.base_url, "PAYPAL base URL")
        for currency in sorted({self.currency, *self.currencies}):
            if currency not in CURRENCIES or currency not in EXPONENTS:
                raise MixedSettings(f"PayPal takes no {currency}")


class PayPal:
    """The `RefundingProvider` for PayPal."""

    name = "paypal"

    def __init__(self, config: PayPalConfig, http: httpx.AsyncClient, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._client = BearerClient(
            http, config.base_url, config.timeout_seconds, self._fetch_token, clock, Circuit(self.name, clock)
        )

    @property
    def most(self) -> Money | None:
        return None

    def charges(self, currency: str) -> str | None:
        if currency in self._config.currencies:
            return currency
        return self._config.currency if currency == "XAF" else None

    @property
    def payee(self) -> str | None:
        return self._config.merchant_id

    # --- the port ----------------------------------------------------------------------------------------------

    async def start(self, attempt: AttemptView) -> Started:
        """Create the order, or find it again where it exists already.

        Raises:
            ProviderUnavailable, ProviderRefused, ProviderMisconfigured: as the port says; `ProviderRefused`
                with `create_key_expired` means: take a new attempt, repeating this one could make a second order.
        """
        if attempt.amount.currency not in {self._config.currency, *self._config.currencies}:
            raise ProviderMisconfigured("currency", f"PayPal is not charged in {attempt.amount.currency} here")
        if attempt.amount.amount_minor <= 0:
            raise ProviderRefused("CANNOT_BE_ZERO_OR_NEGATIVE", attempt.amount.decimal())
        if attempt.provider_reference is not None:
            order = await self._order(attempt.provider_reference)
            if order is None:
                raise ProviderRefused("order_gone")
        else:
            if self._age(attempt) > ORDER_KEY_LIFE:
                raise ProviderRefused("create_key_expired")
            order = await self._create(attempt)
        return Started(str(order["id"]), answers.payer_link(order))

    async def observe(self, attempt: AttemptView) -> ProviderState:
        """Read the order; capture it if the payer has approved it.

        Raises:
            ProviderUnavailable, ProviderMisconfigured: as the port says.
        """
        if attempt.provider_reference is None:
            return self._never_created(attempt)
        try:
            return await self._observe(attempt, attempt.provider_reference)
        except ProviderRefused as refused:
            raise unexpected(refused) from refused

    async def _observe(self, attempt: AttemptView, order_id: str) -> ProviderState:
        order = await self._order(order_id)
        if order is None:
            return self._gone(attempt)
        state = answers.order_state(order)
        if order.get("status") != "APPROVED":
            return state
        if state.amount != attempt.amount or state.payment_id != attempt.payment_id:
            # Approved, but for another sum or payment than ours: taking it would only make a case of it.
            return answers.held(state, "order_mismatch")
        return await self._capture(attempt, order_id, state)

    async def refund(self, attempt: AttemptView, refund: RefundView) -> RefundState:
        """Send back part or all of a capture.

        Raises:
            ProviderUnavailable, ProviderRefused, ProviderMisconfigured: as the port says.
        """
        body: dict[str, Any] = {
            "amount": answers.money_object(refund.amount),
            "custom_id": str(attempt.payment_id),
            "invoice_id": str(refund.refund_id),
        }
        if refund.note:
            body["note_to_payer"] = refund.note[:255]
        path = f"/v2/payments/captures/{_part(refund.capture_reference)}/refund"
        headers = self._headers(refund.request_id) | REPRESENTATION
        answer = await self._client.call("POST", path, headers, _json(body))
        if answer.is_success:
            return answers.refund_state(_object(answer))
        raise _refusal(answer)

    async def observe_refund(self, attempt: AttemptView, refund: RefundView) -> RefundState:
        """Read the refund by PayPal's number, or find it by ours among the order's refunds.

        Raises:
            ProviderUnavailable, ProviderMisconfigured: as the port says.
        """
        try:
            if refund.refund_reference is not None:
                found = await self._refund(refund.refund_reference)
                if found is not None:
                    return answers.refund_state(found)
            return await self._refund_in_order(attempt, refund)
        except ProviderRefused as refused:
            raise unexpected(refused) from refused

    async def observe_dispute(self, reference: str) -> DisputeState | None:
        """Read a dispute.

        Raises:
            ProviderUnavailable, ProviderMisconfigured: as the port says.
        """
        answer = await self._client.call("GET", f"/v1/customer/disputes/{_part(reference)}", {})
        if answer.is_success:
            return answers.dispute_state(_object(answer))
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        refused = _refusal(answer)
        raise unexpected(refused) if isinstance(refused, ProviderRefused) else refused

    async def observe_movements(self, attempt: AttemptView) -> list[RefundState]:
        """Read the order's refunds, ours and others.

        Raises:
            ProviderUnavailable, ProviderMisconfigured: as the port says.
        """
        try:
            order = None if attempt.provider_reference is None else await self._order(attempt.provider_reference)
        except ProviderRefused as refused:
            raise unexpected(refused) from refused
        return [] if order is None else answers.refunds_of(order)

    async def movements(self, since: datetime, until: datetime) -> list[Movement]:
        """Read the transaction search, all its pages.

        Raises:
            ProviderUnavailable, ProviderMisconfigured: as the port says.
        """
        found: list[Movement] = []
        page = pages = 1
        while page <= pages:
            question = {
                "start_date": since.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "end_date": (until - timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "fields": "transaction_info",
                "page_size": str(LIST_PAGE),
                "page": str(page),
            }
            answer = await self._client.call("GET", f"/v1/reporting/transactions?{urlencode(question)}", {})
            if not answer.is_success:
                refused = _refusal(answer)
                raise unexpected(refused) if isinstance(refused, ProviderRefused) else refused
            body = _object(answer)
            found += answers.movements_of(body)
            pages = int(body.get("total_pages", 1))
            page += 1
        return found

    async def _refund(self, reference: str) -> dict[str, Any] | None:
        answer = await self._client.call("GET", f"/v2/payments/refunds/{_part(reference)}", {})
        if answer.is_success:
            return _object(answer)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        raise _refusal(answer)

    async def _refund_in_order(self, attempt: AttemptView, refund: RefundView) -> RefundState:
        order = None if attempt.provider_reference is None else await self._order(attempt.provider_reference)
        if order is None:
            # Whether it was taken cannot be told: repeating it blindly could send the money twice.
            return RefundState(status=ProviderStatus.UNKNOWN, provider_status="404", needs_operator=True)
        ours = [state for state in answers.refunds_of(order) if state.refund_id == refund.refund_id]
        if ours:
            return ours[-1]
        return RefundState(status=ProviderStatus.UNKNOWN, provider_status="none", not_received=True)

    async def verify_webhook_signature(self, question: bytes) -> str:
        """PayPal's own verdict, SUCCESS or FAILURE, on a verify-webhook-signature request body.

        Raises:
            ProviderUnavailable: no verdict; that is not FAILURE.
            ProviderMisconfigured: our credentials.
            ProviderRefused: PayPal does not understand the question.
        """
        answer = await self._client.call("POST", "/v1/notifications/verify-webhook-signature", JSON, question)
        if not answer.is_success:
            raise _refusal(answer)
        return str(_object(answer).get("verification_status"))

    async def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any] | None:
        """Make one call of another part of PayPal's API; ``None`` where its answer has no body.

        Raises:
            ProviderUnavailable: no answer.
            ProviderMisconfigured: our credentials or rights.
            ProviderRefused: the call itself.
        """
        answer = await self._client.call(method, path, JSON if body is not None else {}, body and _json(body))
        if not answer.is_success:
            raise _refusal(answer)
        return _object(answer) if answer.content else None

    # --- calls -------------------------------------------------------------------------------------------------

    async def _fetch_token(self) -> Token:
        answer = await self._client.send(
            "POST",
            "/v1/oauth2/token",
            {"Content-Type": "application/x-www-form-urlencoded"},
            content=b"grant_type=client_credentials",
            auth=(self._config.client_id, self._config.client_secret),
        )
        if answer.is_success:
            body = _object(answer)
            lifetime = timedelta(seconds=int(body["expires_in"]))
            return token_for(str(body["access_token"]), lifetime, RENEW_TOKEN_EARLY, self._clock())
        if answer.status_code in RETRYABLE_STATUSES:
            raise ProviderUnavailable(f"http_{answer.status_code}", "token")
        raise ProviderMisconfigured(str(_object(answer).get("error", f"http_{answer.status_code}")), "token")

    async def _create(self, attempt: AttemptView) -> dict[str, Any]:
        headers = self._headers(attempt.create_request_id)
        answer = await self._client.call("POST", "/v2/checkout/orders", headers, _json(self._order_request(attempt)))
        if answer.is_success:
            return _object(answer)
        raise _refusal(answer)

    def _order_request(self, attempt: AttemptView) -> dict[str, Any]:
        unit = {
            "amount": answers.money_object(attempt.amount),
            "custom_id": str(attempt.payment_id),
            "invoice_id": attempt.reference[:TEXT_LENGTH],
            "description": (attempt.description or attempt.reference)[:TEXT_LENGTH],
        }
        context = {
            "brand_name": self._config.brand_name,
            "locale": LOCALES.get(attempt.language, LOCALES["fr"]),
            "shipping_preference": "NO_SHIPPING",
            "user_action": "PAY_NOW",
            # No eChecks: the organization is to be there in seconds, not in days.
            "payment_method_preference": "IMMEDIATE_PAYMENT_REQUIRED",
        }
        context |= {
            name: url
            for name, url in (("return_url", attempt.return_url), ("cancel_url", attempt.cancel_url))
            if url is not None
        }
        return {
            "intent": "CAPTURE",
            "purchase_units": [unit],
            "payment_source": {"paypal": {"experience_context": context}},
        }

    async def _order(self, order_id: str) -> dict[str, Any] | None:
        answer = await self._client.call("GET", f"/v2/checkout/orders/{_part(order_id)}", {})
        if answer.is_success:
            return _object(answer)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        raise _refusal(answer)

    async def _capture(self, attempt: AttemptView, order_id: str, approved: ProviderState) -> ProviderState:
        path = f"/v2/checkout/orders/{_part(order_id)}/capture"
        headers = self._headers(attempt.capture_request_id) | REPRESENTATION
        answer = await self._client.call("POST", path, headers, b"{}")
        if answer.is_success:
            order = _object(answer)
            if "purchase_units" in order:
                return answers.order_state(order)
        elif answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
            body = _object(answer)
            if answers.issue(body) != "ORDER_ALREADY_CAPTURED":
                return answers.declined(approved, body)
        elif answer.status_code != httpx.codes.NOT_FOUND:
            raise _refusal(answer)
        # Captured, by this call or by another that was faster, or gone: the order itself tells how it went.
        order_now = await self._order(order_id)
        return self._gone(attempt) if order_now is None else answers.order_state(order_now)

    def _headers(self, request_id: str) -> dict[str, str]:
        if not request_id:
            raise ValueError("a PayPal call that moves something needs an idempotency key stored before it")
        return {**JSON, "PayPal-Request-Id": request_id}

    # --- orders that are not there -----------------------------------------------------------------------------

    def _age(self, attempt: AttemptView) -> timedelta:
        return self._clock() - attempt.created_at

    def _never_created(self, attempt: AttemptView) -> ProviderState:
        if self._age(attempt) <= ORDER_KEY_LIFE:
            return ProviderState(status=ProviderStatus.UNKNOWN, provider_status="none", not_received=True)
        # The payer was never sent to an order whose number we never learned, so nobody can have approved it.
        return ProviderState(status=ProviderStatus.FAILED, provider_status="none", reason_code="ORDER_NEVER_CREATED")

    def _gone(self, attempt: AttemptView) -> ProviderState:
        expired = self._age(attempt) > ORDER_LIFE
        return ProviderState(
            status=ProviderStatus.FAILED if expired else ProviderStatus.UNKNOWN,
            provider_status="404",
            provider_reference=attempt.provider_reference,
            reason_code="ORDER_EXPIRED" if expired else "RESOURCE_NOT_FOUND",
        )


def _part(text: str) -> str:
    """One path segment; an id from outside must not reach another address."""
    return quote(text, safe="")


def _json(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        body = None
    if isinstance(body, dict):
        return body
    raise ProviderUnavailable("not_json", f"{urlsplit(str(answer.url)).path} answered {answer.status_code}")


def _refusal(answer: httpx.Response) -> ProviderUnavailable | ProviderRefused | ProviderMisconfigured:
    """What an unsuccessful answer means to the caller."""
    status = answer.status_code
    # 409: two calls with one key met; one of them will be answered when it is repeated.
    if status in RETRYABLE_STATUSES or status == httpx.codes.CONFLICT:
        return ProviderUnavailable(f"http_{status}")
    body = _object(answer)
    code = answers.issue(body) or str(body.get("name", f"http_{status}"))
    if status == httpx.codes.FORBIDDEN or answers.is_our_account(code):
        return ProviderMisconfigured(code, str(body.get("debug_id", "")))
    return ProviderRefused(code, str(body.get("debug_id", "")))
