"""Our adapters and the simulators keep the contracts that we wrote down for PayPal and MTN MoMo."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

pytestmark = pytest.mark.contract


def test_every_exchange_with_paypal_keeps_its_contract(paypal_exchanges: Any, paypal_contract: Any) -> None:
    assert [fault for one in paypal_exchanges for fault in paypal_contract.faults(one)] == []


def test_every_exchange_with_mtn_keeps_its_contract(momo_exchanges: Any, momo_contract: Any) -> None:
    assert [fault for one in momo_exchanges for fault in momo_contract.faults(one)] == []


def test_every_paypal_operation_and_answer_took_place(paypal_exchanges: Any, paypal_contract: Any) -> None:
    seen = {(paypal_contract.operation(one), one.status) for one in paypal_exchanges}
    assert seen >= {
        ("token", 200),
        ("token", 401),
        ("create_order", 200),
        ("create_order", 201),
        ("create_order", 400),
        ("create_order", 422),
        ("show_order", 200),
        ("show_order", 404),
        ("capture_order", 200),
        ("capture_order", 201),
        ("capture_order", 422),
        ("refund_capture", 201),
        ("refund_capture", 404),
        ("refund_capture", 422),
        ("verify_webhook_signature", 200),
        ("show_dispute", 200),
        ("show_dispute", 404),
        ("transaction_search", 200),
        ("list_webhooks", 200),
        ("create_webhook", 201),
        ("patch_webhook", 200),
        ("delete_webhook", 204),
        ("webhook", 200),
    }


def test_every_mtn_operation_and_answer_took_place(momo_exchanges: Any, momo_contract: Any) -> None:
    seen = {(momo_contract.operation(one), one.status) for one in momo_exchanges}
    assert seen >= {
        ("token", 200),
        ("token", 401),
        ("token", 500),
        ("request_to_pay", 202),
        ("request_to_pay", 409),
        ("request_to_pay", 500),
        ("request_to_pay", 503),
        ("request_to_pay_status", 200),
        ("request_to_pay_status", 404),
        ("refund", 202),
        ("refund", 409),
        ("refund_status", 200),
        ("refund_status", 404),
        ("account_holder_active", 200),
        ("account_holder_active", 404),
        ("account_holder_active", 500),
        ("callback", 200),
    }


def changed(body: bytes, change: Callable[[Any], Any]) -> bytes:
    data = json.loads(body)
    change(data)
    return json.dumps(data).encode()


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.update(intent="SALE"),
        lambda body: body.pop("purchase_units"),
        lambda body: body["purchase_units"][0]["amount"].update(value=38.11),
        lambda body: body["purchase_units"][0]["amount"].update(value="38.1"),
        lambda body: body["purchase_units"][0]["amount"].update(value="25000", currency_code="XAF"),
        lambda body: body["purchase_units"][0].pop("custom_id"),
        lambda body: body.pop("payment_source"),
    ],
    ids=["sale", "no unit", "number", "one decimal", "francs", "no id", "no source"],
)
def test_a_wrong_paypal_order_would_be_noticed(paypal_exchanges: Any, paypal_contract: Any, change: Any) -> None:
    order = next(one for one in paypal_exchanges if paypal_contract.operation(one) == "create_order")
    assert paypal_contract.faults(replace(order, request_body=changed(order.request_body, change))) != []


@pytest.mark.parametrize("change", [{"page_size": "501"}, {"start_date": "2026-11-22"}, {"fields": "all"}])
def test_a_wrong_transaction_search_would_be_noticed(
    paypal_exchanges: Any, paypal_contract: Any, change: dict[str, str]
) -> None:
    asked = next(one for one in paypal_exchanges if paypal_contract.operation(one) == "transaction_search")
    assert paypal_contract.faults(replace(asked, query=asked.query | change)) != []


@pytest.mark.parametrize("header", ["authorization", "paypal-request-id", "content-type"])
def test_a_missing_paypal_header_would_be_noticed(paypal_exchanges: Any, paypal_contract: Any, header: str) -> None:
    order = next(one for one in paypal_exchanges if paypal_contract.operation(one) == "create_order")
    headers = {name: value for name, value in order.request_headers.items() if name != header}
    assert paypal_contract.faults(replace(order, request_headers=headers)) != []


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.clear(),
        lambda body: body.pop("amount"),
        lambda body: body.pop("currency"),
        lambda body: body.pop("payer"),
        lambda body: body.update(amount=25000),
        lambda body: body.update(amount="25000.00"),
        lambda body: body.update(payerMessage="L'achat"),
        lambda body: body.update(payeeNote=""),
        lambda body: body["payer"].update(partyId="+237670000001"),
        lambda body: body.update(currency="USD"),
    ],
    ids=[
        "empty",
        "no amount",
        "no currency",
        "no payer",
        "number",
        "decimals",
        "apostrophe",
        "no note",
        "plus",
        "dollars",
    ],
)
def test_a_wrong_request_to_pay_would_be_noticed(momo_exchanges: Any, momo_contract: Any, change: Any) -> None:
    asked = next(one for one in momo_exchanges if momo_contract.operation(one) == "request_to_pay")
    assert momo_contract.faults(replace(asked, request_body=changed(asked.request_body, change))) != []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-reference-id", "f47ac10b-58cc-1372-a567-0e02b2c3d479"),
        ("x-target-environment", "production"),
        ("x-callback-url", "http://backup.example/webhooks/mtn-momo/x"),
        ("ocp-apim-subscription-key", ""),
    ],
)
def test_a_wrong_mtn_header_would_be_noticed(momo_exchanges: Any, momo_contract: Any, name: str, value: str) -> None:
    asked = next(one for one in momo_exchanges if momo_contract.operation(one) == "request_to_pay")
    assert momo_contract.faults(replace(asked, request_headers=asked.request_headers | {name: value})) != []


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.pop("referenceIdToRefund"),
        lambda body: body.update(amount=100),
        lambda body: body.update(referenceIdToRefund="363440463"),
    ],
    ids=["no reference", "number", "financial id"],
)
def test_a_wrong_refund_would_be_noticed(momo_exchanges: Any, momo_contract: Any, change: Any) -> None:
    asked = next(one for one in momo_exchanges if momo_contract.operation(one) == "refund")
    assert momo_contract.faults(replace(asked, request_body=changed(asked.request_body, change))) != []


def test_money_without_a_receipt_would_be_noticed(momo_exchanges: Any, momo_contract: Any) -> None:
    paid = next(
        one
        for one in momo_exchanges
        if momo_contract.operation(one) == "request_to_pay_status" and b"SUCCESSFUL" in one.answer_body
    )
    body = changed(paid.answer_body, lambda data: data.pop("financialTransactionId"))
    assert momo_contract.faults(replace(paid, answer_body=body)) != []
