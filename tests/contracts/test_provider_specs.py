"""The same exchanges, held against the providers' own specifications in SPECS_DIR, which are not ours to copy.

Run by `make test-specs`. Collected only where SPECS_DIR is set.
"""

import base64
import json
import os
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from billing.adapters.paypal_webhooks import Transmission
from billing.ports import SignatureRejected
from cryptography import x509
from openapi_core import OpenAPI
from openapi_core.datatypes import RequestParameters
from werkzeug.datastructures import Headers, ImmutableMultiDict

pytestmark = pytest.mark.contract
SPECS = Path(os.environ["SPECS_DIR"])

PAYPAL_HOST = "https://api-m.sandbox.paypal.com"
MTN_HOST = "https://sandbox.momodeveloper.mtn.com"

UNDESCRIBED = {
    "token",  # PayPal publishes no file for it
    "show_dispute",
    "transaction_search",
    "webhook",
    "callback",
}
"""Operations that no specification has."""
READ_ONLY_IN_REQUEST = {"verify_webhook_signature"}
"""The event that goes back has fields marked readOnly: the specification contradicts its own prose."""
MTN_UNDESCRIBED_STATUSES = {
    ("request_to_pay", 503),
    ("account_holder_active", 404),
    ("account_holder_active", 503),
}
"""What the sandbox answers though the description does not know it."""


@dataclass
class SpecRequest:
    """An exchange's request as openapi-core wants it."""

    exchange: Any
    host_url: str

    def __post_init__(self) -> None:
        headers = Headers(self.exchange.request_headers)
        self.parameters = RequestParameters(query=ImmutableMultiDict(self.exchange.query), header=headers)

    @property
    def path(self) -> str:
        return str(self.exchange.path)

    @property
    def method(self) -> str:
        return str(self.exchange.method).lower()

    @property
    def body(self) -> bytes | None:
        return self.exchange.request_body or None

    @property
    def content_type(self) -> str:
        return str(self.exchange.request_headers.get("content-type", ""))


@dataclass
class SpecResponse:
    """An exchange's answer as openapi-core wants it."""

    exchange: Any

    @property
    def data(self) -> bytes | None:
        return self.exchange.answer_body or None

    @property
    def status_code(self) -> int:
        return int(self.exchange.status)

    @property
    def content_type(self) -> str:
        return str(self.exchange.answer_headers.get("content-type", ""))

    @property
    def headers(self) -> Headers:
        return Headers(self.exchange.answer_headers)


def described(name: str) -> OpenAPI:
    return OpenAPI.from_dict(json.loads((SPECS / name).read_text()))


def faults(spec: OpenAPI, host: str, exchange: Any, *, request: bool = True, answer: bool = True) -> list[str]:
    asked, found = SpecRequest(exchange, host), []
    with warnings.catch_warnings():
        # PayPal's OAuth2 security scheme is not supported by openapi-core; our own schema demands the header.
        warnings.simplefilter("ignore")
        if request:
            found += [f"request: {_why(error)}" for error in spec.iter_request_errors(asked)]
        if answer:
            found += [f"answer: {_why(error)}" for error in spec.iter_response_errors(asked, SpecResponse(exchange))]
    return [f"{exchange} {fault}"[:600] for fault in found]


def _why(error: Exception) -> str:
    """The error with what the schema said, which openapi-core keeps in its cause."""
    details = getattr(error.__cause__, "schema_errors", ())
    said = [f"{one.json_path}: {one.message[:120]}" for one in details]
    return "; ".join([type(error).__name__, str(error)[:80], *said])


def test_paypals_own_specifications_agree(paypal_exchanges: Any, paypal_contract: Any) -> None:
    specs = {
        "/v2/checkout/": described("paypal/checkout_orders_v2.mock.json"),
        "/v2/payments/": described("paypal/payments_payment_v2.mock.json"),
        "/v1/notifications/": described("paypal/notifications_webhooks_v1.json"),
    }
    checked, found = set(), []
    for exchange in paypal_exchanges:
        operation = paypal_contract.operation(exchange)
        if operation in UNDESCRIBED:
            continue
        spec = next(spec for prefix, spec in specs.items() if exchange.path.startswith(prefix))
        request = operation not in READ_ONLY_IN_REQUEST and not exchange.by_hand
        found += faults(spec, PAYPAL_HOST, exchange, request=request)
        checked.add(operation)
    assert found == []
    assert checked == {
        "create_order",
        "show_order",
        "capture_order",
        "refund_capture",
        "verify_webhook_signature",
        "list_webhooks",
        "create_webhook",
        "patch_webhook",
        "delete_webhook",
    }


def _failed_refund(exchange: Any) -> bool:
    """Whether the answer is a refund that failed: its reason is a bare text in the sandbox, or a code that MTN's pages
    name and its schema has not."""
    refund = exchange.path.startswith("/disbursement/v1_0/refund/") and exchange.status == 200
    return refund and "reason" in json.loads(exchange.answer_body)


def test_mtns_description_agrees(momo_exchanges: Any, momo_contract: Any) -> None:
    specs = {
        "/collection/": described("mtn-momo/collection.strict.json"),
        "/disbursement/": described("mtn-momo/disbursement.mock.json"),
    }
    checked, found = set(), []
    for exchange in momo_exchanges:
        operation = momo_contract.operation(exchange)
        if operation == "callback":
            continue
        answer = (operation, exchange.status) not in MTN_UNDESCRIBED_STATUSES and not _failed_refund(exchange)
        spec = next(spec for prefix, spec in specs.items() if exchange.path.startswith(prefix))
        found += faults(spec, MTN_HOST, exchange, answer=answer)
        checked.add(operation)
    assert found == []
    assert checked == {
        "token",
        "request_to_pay",
        "request_to_pay_status",
        "account_holder_active",
        "refund",
        "refund_status",
    }


def test_the_check_itself_notices_a_wrong_request(momo_exchanges: Any, momo_contract: Any) -> None:
    from dataclasses import replace

    spec = described("mtn-momo/collection.strict.json")
    asked = next(one for one in momo_exchanges if momo_contract.operation(one) == "request_to_pay")
    assert faults(spec, MTN_HOST, asked) == []
    assert faults(spec, MTN_HOST, replace(asked, request_body=b"{}")) != []
    assert faults(spec, MTN_HOST, replace(asked, status=200)) != []


def test_a_delivery_that_paypal_really_signed_is_believed() -> None:
    vector = json.loads((SPECS / "paypal/webhook-signature-golden-vector.json").read_text())
    body = next(base64.b64decode(value) for name, value in vector.items() if "base64" in name)
    pem = next(value for value in vector.values() if isinstance(value, str) and "BEGIN CERTIFICATE" in value)
    certificate = x509.load_pem_x509_certificate(pem.encode())
    sent = Transmission.read(vector["headers"])
    assert certificate.not_valid_before_utc <= datetime.fromisoformat(sent.time).astimezone(UTC)
    sent.check_signature(certificate, vector["webhook_id"], body)
    for forged in (body + b" ", json.dumps(json.loads(body)).encode()):
        with pytest.raises(SignatureRejected):
            sent.check_signature(certificate, vector["webhook_id"], forged)
