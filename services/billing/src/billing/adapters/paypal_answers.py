"""Reading PayPal's bodies: orders, captures, refusals and refunds into the port's words. Pure.

Enums are open: a word that is not known here means UNKNOWN, never success.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from billing.domain.money import Money, MoneyError
from billing.domain.plan import Method
from billing.domain.reconciliation import Movement
from billing.ports import DisputeState, ProviderState, ProviderStatus, RefundState

PAYER_RELS = ("payer-action", "approve", "redirect")
"""Names of the link to PayPal's page: with payment_source, without it, and after a declined instrument."""

ORDER_STATES = {
    "CREATED": ProviderStatus.PENDING,
    "SAVED": ProviderStatus.PENDING,
    "PAYER_ACTION_REQUIRED": ProviderStatus.PENDING,
    "APPROVED": ProviderStatus.PENDING,
    "VOIDED": ProviderStatus.FAILED,
}
CAPTURE_STATES = {
    "COMPLETED": ProviderStatus.COMPLETED,
    "PARTIALLY_REFUNDED": ProviderStatus.COMPLETED,
    "REFUNDED": ProviderStatus.COMPLETED,
    "PENDING": ProviderStatus.PROCESSING,
    "DECLINED": ProviderStatus.FAILED,
    "FAILED": ProviderStatus.FAILED,
}
BEST_FIRST = (ProviderStatus.COMPLETED, ProviderStatus.PROCESSING, ProviderStatus.UNKNOWN, ProviderStatus.FAILED)
REFUND_STATES = {
    "COMPLETED": ProviderStatus.COMPLETED,
    "PENDING": ProviderStatus.PROCESSING,
    "FAILED": ProviderStatus.FAILED,
    "CANCELLED": ProviderStatus.FAILED,
}

DISPUTE_OUTCOMES = {
    "RESOLVED_SELLER_FAVOUR": ProviderStatus.COMPLETED,
    "CANCELED_BY_BUYER": ProviderStatus.COMPLETED,
    "DENIED": ProviderStatus.COMPLETED,
    "RESOLVED_BUYER_FAVOUR": ProviderStatus.FAILED,
    "ACCEPTED": ProviderStatus.FAILED,
    "RESOLVED_WITH_PAYOUT": ProviderStatus.COMPLETED,
}
"""How a resolved dispute ended, for us; with a payout PayPal pays the buyer out of its own pocket
(https://developer.paypal.com/docs/api/customer-disputes/v1/)."""

HELD_BY_OUR_ACCOUNT = frozenset({"RECEIVING_PREFERENCE_MANDATES_MANUAL_ACTION", "UNILATERAL"})
"""Pending reasons that end only when somebody acts in our PayPal account."""

PAYER_CHOOSES_AGAIN = frozenset({"INSTRUMENT_DECLINED", "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING"})
NOT_YET_APPROVED = frozenset({"ORDER_NOT_APPROVED", "PAYER_ACTION_REQUIRED"})
OUR_ACCOUNT = frozenset(
    {
        "AUTH_CAPTURE_NOT_ENABLED",
        "COMPLIANCE_VIOLATION",
        "CURRENCY_NOT_SUPPORTED",
        "DUPLICATE_INVOICE_ID",
        "INVALID_CURRENCY_CODE",
        "NOT_AUTHORIZED",
        "PERMISSION_DENIED",
        "REFUND_FAILED_INSUFFICIENT_FUNDS",
        "TRANSACTION_BLOCKED_BY_PAYEE",
        "TRANSACTION_RECEIVING_LIMIT_EXCEEDED",
    }
)


def is_our_account(code: str) -> bool:
    """True where the refusal is about our account or settings and not about the payer."""
    return code in OUR_ACCOUNT or code.startswith("PAYEE_")


def money_object(money: Money) -> dict[str, str]:
    """PayPal's money: text with exactly the currency's decimals."""
    return {"currency_code": money.currency, "value": money.decimal()}


def read_money(data: Any) -> Money | None:
    """A money object, or None where it is none that we understand."""
    if not isinstance(data, dict):
        return None
    try:
        return Money.read(str(data.get("value")), str(data.get("currency_code")))
    except MoneyError:
        return None


def read_uuid(text: Any) -> UUID | None:
    """One of our ids, or None where it is none."""
    try:
        return UUID(str(text))
    except ValueError:
        return None


def issue(body: dict[str, Any]) -> str | None:
    """The fine-grained code of an error body."""
    for detail in _objects(body.get("details")):
        if detail.get("issue"):
            return str(detail["issue"])
    return None


def payer_link(body: dict[str, Any]) -> str | None:
    """Where the payer has to go, if the order waits for him."""
    links = {str(link.get("rel")): str(link.get("href")) for link in _objects(body.get("links"))}
    return next((links[rel] for rel in PAYER_RELS if rel in links), None)


def order_state(order: dict[str, Any]) -> ProviderState:
    """Where the payment of this order stands; an order is paid only if a capture says so."""
    unit = next(_objects(order.get("purchase_units")), {})
    payee = unit.get("payee")
    word = str(order.get("status"))
    state = ProviderState(
        status=ORDER_STATES.get(word, ProviderStatus.UNKNOWN),
        provider_status=word,
        provider_reference=str(order["id"]) if "id" in order else None,
        amount=read_money(unit.get("amount")),
        payment_id=read_uuid(unit.get("custom_id")),
        payee=str(payee["merchant_id"]) if isinstance(payee, dict) and "merchant_id" in payee else None,
        redirect_url=payer_link(order),
    )
    payments = unit["payments"] if isinstance(unit.get("payments"), dict) else {}
    captures = list(_objects(payments.get("captures")))
    if not captures:
        return state
    return _with_capture(state, min(captures, key=_preference), payments)


def _preference(capture: dict[str, Any]) -> int:
    return BEST_FIRST.index(_capture_status(capture))


def _capture_status(capture: dict[str, Any]) -> ProviderStatus:
    return CAPTURE_STATES.get(str(capture.get("status")), ProviderStatus.UNKNOWN)


def _with_capture(state: ProviderState, capture: dict[str, Any], payments: dict[str, Any]) -> ProviderState:
    details = capture.get("status_details")
    reason = str(details["reason"]) if isinstance(details, dict) and "reason" in details else None
    amount = read_money(capture.get("amount"))
    return replace(
        state,
        status=_capture_status(capture),
        provider_status=f"{state.provider_status}/{capture.get('status')}",
        receipt_reference=str(capture["id"]) if "id" in capture else None,
        amount=amount,
        payment_id=read_uuid(capture["custom_id"]) if "custom_id" in capture else state.payment_id,
        reason_code=reason,
        needs_operator=reason in HELD_BY_OUR_ACCOUNT,
        redirect_url=None,
        refunded=_refunded(capture, amount, payments),
    )


def _refunded(capture: dict[str, Any], amount: Money | None, payments: dict[str, Any]) -> Money | None:
    if amount is None:
        return None
    sums = [read_money(refund.get("amount")) for refund in _objects(payments.get("refunds")) if _is_done(refund)]
    total = Money.zero(amount.currency)
    for part in sums:
        if part is not None and part.currency == total.currency:
            total += part
    return amount if capture.get("status") == "REFUNDED" else total


def _is_done(refund: dict[str, Any]) -> bool:
    return REFUND_STATES.get(str(refund.get("status"))) is ProviderStatus.COMPLETED


def declined(approved: ProviderState, body: dict[str, Any]) -> ProviderState:
    """What a refused capture (422) leaves of an approved order."""
    code = issue(body) or str(body.get("name"))
    state = replace(approved, provider_status=f"APPROVED/{code}", reason_code=code)
    link = payer_link(body) or approved.redirect_url
    if code in PAYER_CHOOSES_AGAIN:
        # The same order can still be paid, with another card or account: nothing has failed yet.
        return replace(state, redirect_url=link, renew_capture_key=True)
    if code in NOT_YET_APPROVED:
        return replace(state, redirect_url=link)
    if code == "ORDER_COMPLETION_IN_PROGRESS":
        return replace(state, status=ProviderStatus.PROCESSING)
    if is_our_account(code):
        return replace(held(state, code), renew_capture_key=True)
    return replace(state, status=ProviderStatus.FAILED)


def held(state: ProviderState, reason: str) -> ProviderState:
    """Neither paid nor failed until a person has looked."""
    return replace(state, status=ProviderStatus.UNKNOWN, reason_code=reason, needs_operator=True)


def refund_state(body: dict[str, Any]) -> RefundState:
    """Where a refund stands."""
    word = str(body.get("status"))
    return RefundState(
        status=REFUND_STATES.get(word, ProviderStatus.UNKNOWN),
        provider_status=word,
        refund_reference=str(body["id"]) if "id" in body else None,
        amount=read_money(body.get("amount")),
        refund_id=read_uuid(body.get("invoice_id")),
        reason_code=_refund_reason(body),
    )


def _refund_reason(body: dict[str, Any]) -> str | None:
    details = body.get("status_details")
    return str(details["reason"]) if isinstance(details, dict) and "reason" in details else None


def dispute_state(body: dict[str, Any]) -> DisputeState:
    """Where a dispute stands; resolved with an outcome that we do not know, it stays open until a person has looked."""
    word = str(body.get("status"))
    outcome = body["dispute_outcome"] if isinstance(body.get("dispute_outcome"), dict) else {}
    code = str(outcome.get("outcome_code", ""))
    ended = DISPUTE_OUTCOMES.get(code, ProviderStatus.PROCESSING) if word == "RESOLVED" else ProviderStatus.PROCESSING
    transactions = _objects(body.get("disputed_transactions"))
    return DisputeState(
        status=ended,
        provider_status=f"{word}/{code}" if code else word,
        reference=str(body.get("dispute_id")),
        reason=str(body.get("reason", "")),
        captures=tuple(str(each["seller_transaction_id"]) for each in transactions if "seller_transaction_id" in each),
        amount=read_money(body.get("dispute_amount")),
    )


def movements_of(page: dict[str, Any]) -> Iterator[Movement]:
    """The payments (T00xx) and refunds or reversals (T11xx) in a page of the transaction search.

    Fees, conversions and payouts are PayPal's own affairs with us and belong to no payment.
    """
    for each in _objects(page.get("transaction_details")):
        info = each["transaction_info"] if isinstance(each.get("transaction_info"), dict) else {}
        code = str(info.get("transaction_event_code", ""))
        if not code.startswith(("T00", "T11")) or "transaction_id" not in info:
            continue
        occurred = datetime.fromisoformat(str(info["transaction_initiation_date"]))
        amount = read_money(info.get("transaction_amount"))
        yield Movement(Method.PAYPAL, str(info["transaction_id"]), amount, occurred)


def refunds_of(order: dict[str, Any]) -> list[RefundState]:
    """Every refund that an order names, ours and others."""
    unit = next(_objects(order.get("purchase_units")), {})
    payments = unit["payments"] if isinstance(unit.get("payments"), dict) else {}
    return [refund_state(refund) for refund in _objects(payments.get("refunds"))]


def _objects(data: Any) -> Iterator[dict[str, Any]]:
    return (item for item in data if isinstance(item, dict)) if isinstance(data, list) else iter(())
