"""PayPal's webhooks checked offline: certificate, address, signature; and what each kind of event is about."""

import datetime as dt
import json
import uuid
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from billing.adapters.paypal_webhooks import (
    LIVE_COMMON_NAME,
    SANDBOX_COMMON_NAME,
    OfflineConfig,
    OfflineVerifier,
    parse_event,
)
from billing.ports import ProviderUnavailable, SignatureRejected
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from simulators.faults import Faults
from simulators.paypal.certificates import Signer, make_signer
from simulators.paypal.webhooks import Webhooks
from simulators.server import Background, UrlMap

ORIGIN = "https://api-m.sandbox.paypal.com"
WEBHOOK_ID = "5GP028458E2496506"
BODY = b'{"id":"WH-1","amount":1.0,  "note":"\\u00e9"}'
NOW = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def signer() -> Signer:
    return make_signer(starts=NOW - dt.timedelta(days=1))


@pytest.fixture(scope="module")
def stranger() -> Signer:
    return make_signer(starts=NOW - dt.timedelta(days=1))


def delivery(signer: Signer, body: bytes = BODY, webhook_id: str = WEBHOOK_ID) -> dict[str, str]:
    webhooks = Webhooks(
        signer=signer,
        webhook_id=webhook_id,
        webhook_url=None,
        redelivery_seconds=(1.0,),
        urls=UrlMap({}),
        faults=Faults(),
        background=Background(),
    )
    webhooks.origin = ORIGIN
    return webhooks.headers(body, str(uuid.uuid4()))


class Provider:
    """PayPal's certificate address, and how often it was asked."""

    def __init__(self, content: bytes, status: int = 200) -> None:
        self.asked: list[str] = []
        self.content = content
        self.status = status

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        return httpx.Response(self.status, content=self.content, headers={"Location": "https://evil.example/"})


def verifier(
    anchors: Signer, provider: Provider, *, now: dt.datetime = NOW, names: tuple[str, ...] = (SANDBOX_COMMON_NAME,)
) -> OfflineVerifier:
    config = OfflineConfig(WEBHOOK_ID, (ORIGIN,), names, anchors.ca_pem.decode())
    return OfflineVerifier(config, httpx.AsyncClient(transport=httpx.MockTransport(provider)), lambda: now)


async def rejected(one: OfflineVerifier, headers: Mapping[str, str], body: bytes = BODY) -> str:
    with pytest.raises(SignatureRejected) as reason:
        await one.verify(headers, body)
    return reason.value.code


async def test_a_true_delivery_is_believed_and_its_certificate_fetched_once(signer: Signer) -> None:
    provider = Provider(signer.certificate_pem)
    one = verifier(signer, provider)
    headers = delivery(signer)
    await one.verify(headers, BODY)
    await one.verify({name.lower(): value for name, value in headers.items()}, BODY)
    assert provider.asked == [headers["PAYPAL-CERT-URL"]]


@pytest.mark.invariant("S27")
@pytest.mark.parametrize(
    "body", [BODY.replace(b"1.0", b"1"), json.dumps(json.loads(BODY)).encode(), BODY + b" ", b""], ids=repr
)
async def test_a_changed_body_is_not_believed(signer: Signer, body: bytes) -> None:
    one = verifier(signer, Provider(signer.certificate_pem))
    assert await rejected(one, delivery(signer), body) == "signature"


@pytest.mark.invariant("S27")
async def test_a_delivery_for_another_listener_is_not_believed(signer: Signer) -> None:
    one = verifier(signer, Provider(signer.certificate_pem))
    assert await rejected(one, delivery(signer, webhook_id="ANOTHER")) == "signature"


@pytest.mark.invariant("S27")
@pytest.mark.parametrize(
    "url",
    [
        "https://evilpaypal.com/v1/notifications/certs/CERT-1",
        "https://api-m.sandbox.paypal.com.evil.example/v1/notifications/certs/CERT-1",
        "http://api-m.sandbox.paypal.com/v1/notifications/certs/CERT-1",
        "https://api-m.paypal.com/v1/notifications/certs/CERT-1",
        "https://api-m.sandbox.paypal.com:8443/v1/notifications/certs/CERT-1",
        "https://user@api-m.sandbox.paypal.com/v1/notifications/certs/CERT-1",
        "https://api-m.sandbox.paypal.com/v1/notifications/other/CERT-1",
        "https://api-m.sandbox.paypal.com/v1/notifications/certs/",
        "https://api-m.sandbox.paypal.com/v1/notifications/certs/../../x",
        "https://api-m.sandbox.paypal.com/v1/notifications/certs/%2e%2e",
        "https://api-m.sandbox.paypal.com/v1/notifications/certs/CERT-1?x=1",
        "https://[::1/v1/notifications/certs/CERT-1",
        "file:///etc/passwd",
    ],
)
async def test_a_certificate_from_elsewhere_is_not_even_fetched(signer: Signer, url: str) -> None:
    provider = Provider(signer.certificate_pem)
    headers = delivery(signer) | {"PAYPAL-CERT-URL": url}
    assert await rejected(verifier(signer, provider), headers) == "certificate_address"
    assert provider.asked == []


@pytest.mark.invariant("S27")
async def test_a_certificate_of_another_authority_is_not_believed(signer: Signer, stranger: Signer) -> None:
    one = verifier(signer, Provider(stranger.certificate_pem))
    assert await rejected(one, delivery(stranger)) == "certificate_chain"


@pytest.mark.invariant("S27")
@pytest.mark.parametrize("days", [-10, 365])
async def test_a_certificate_outside_its_dates_is_not_believed(signer: Signer, days: int) -> None:
    one = verifier(signer, Provider(signer.certificate_pem), now=NOW + dt.timedelta(days=days))
    assert await rejected(one, delivery(signer)) == "certificate_chain"


@pytest.mark.invariant("S27")
async def test_a_certificate_for_another_name_is_not_believed(signer: Signer) -> None:
    one = verifier(signer, Provider(signer.certificate_pem), names=(LIVE_COMMON_NAME,))
    assert await rejected(one, delivery(signer)) == "certificate_name"


@pytest.mark.invariant("S27")
async def test_a_leaf_that_signed_itself_is_not_believed(signer: Signer) -> None:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, SANDBOX_COMMON_NAME)])
    own = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(signer.key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - dt.timedelta(days=1))
        .not_valid_after(NOW + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(SANDBOX_COMMON_NAME)]), critical=False)
        .sign(signer.key, hashes.SHA256())
    )
    one = verifier(signer, Provider(own.public_bytes(serialization.Encoding.PEM)))
    assert await rejected(one, delivery(signer)) == "certificate_chain"


@pytest.mark.invariant("S27")
async def test_the_header_does_not_choose_the_algorithm(signer: Signer) -> None:
    one = verifier(signer, Provider(signer.certificate_pem))
    assert await rejected(one, delivery(signer) | {"PAYPAL-AUTH-ALGO": "none"}) == "algorithm"


@pytest.mark.parametrize("signature", ["", "not base64!", "AAAA"])
async def test_a_signature_that_is_none_is_rejected(signer: Signer, signature: str) -> None:
    one = verifier(signer, Provider(signer.certificate_pem))
    headers = delivery(signer) | {"PAYPAL-TRANSMISSION-SIG": signature}
    assert await rejected(one, headers) in ("signature", "header_missing")


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"<html>", 200, "certificate_malformed"),
        (b"x" * 70_000, 200, "certificate_size"),
        (b"", 302, "certificate_missing"),
        (b"", 404, "certificate_missing"),
    ],
    ids=["html", "huge", "redirect", "missing"],
)
async def test_an_answer_that_is_no_certificate_is_rejected(
    signer: Signer, content: bytes, status: int, code: str
) -> None:
    provider = Provider(content, status)
    assert await rejected(verifier(signer, provider), delivery(signer)) == code
    assert len(provider.asked) == 1


async def test_a_certificate_that_cannot_be_had_now_is_no_verdict(signer: Signer) -> None:
    with pytest.raises(ProviderUnavailable):
        await verifier(signer, Provider(b"", 503)).verify(delivery(signer), BODY)


@pytest.mark.parametrize("missing", ["PAYPAL-TRANSMISSION-ID", "PAYPAL-CERT-URL", "PAYPAL-AUTH-ALGO"])
async def test_a_delivery_without_its_headers_is_rejected(signer: Signer, missing: str) -> None:
    headers = delivery(signer)
    del headers[missing]
    assert await rejected(verifier(signer, Provider(signer.certificate_pem)), headers) == "header_missing"


PAYMENT = uuid.uuid4()


@pytest.mark.parametrize(
    ("event_type", "resource", "expected"),
    [
        (
            "CHECKOUT.ORDER.APPROVED",
            {"id": "ORDER1", "purchase_units": [{"custom_id": str(PAYMENT)}]},
            ("ORDER1", None, PAYMENT),
        ),
        ("CHECKOUT.PAYMENT-APPROVAL.REVERSED", {"order_id": "ORDER1"}, ("ORDER1", None, None)),
        (
            "PAYMENT.CAPTURE.COMPLETED",
            {
                "id": "CAP1",
                "custom_id": str(PAYMENT),
                "supplementary_data": {"related_ids": {"order_id": "ORDER1"}},
            },
            ("ORDER1", "CAP1", PAYMENT),
        ),
        (
            "PAYMENT.CAPTURE.PENDING",
            {"id": "CAP1", "links": [{"rel": "up", "href": "https://x/v2/checkout/orders/ORDER1"}]},
            ("ORDER1", "CAP1", None),
        ),
        (
            "PAYMENT.CAPTURE.REFUNDED",
            {"id": "REF1", "links": [{"rel": "up", "href": "https://x/v2/payments/captures/CAP1"}]},
            (None, "CAP1", None),
        ),
        (
            "CUSTOMER.DISPUTE.CREATED",
            {"disputed_transactions": [{"seller_transaction_id": "CAP1", "custom": str(PAYMENT)}]},
            (None, "CAP1", PAYMENT),
        ),
        ("SOMETHING.NEW", {"custom_id": "not-ours"}, (None, None, None)),
    ],
)
def test_each_event_names_its_payment(event_type: str, resource: dict[str, Any], expected: tuple[Any, ...]) -> None:
    event = parse_event(json.dumps({"id": "WH-1", "event_type": event_type, "resource": resource}).encode())
    assert (event.event_id, event.event_type) == ("WH-1", event_type)
    assert (event.order_reference, event.capture_reference, event.payment_id) == expected


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"id": 7}', b"\xff\xfe"])
def test_what_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        parse_event(body)
