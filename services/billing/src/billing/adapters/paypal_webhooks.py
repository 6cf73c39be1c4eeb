"""PayPal's webhooks: whose they are, and what they are about.

Two verifiers: `OnlineVerifier` asks PayPal, `OfflineVerifier` checks certificate and signature itself. The signature
covers only a CRC32 of the body, so after either the order is read again from PayPal before anything is believed.
"""

import base64
import contextlib
import json
import re
import warnings
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import certifi
import httpx
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from billing.adapters.paypal import PayPal
from billing.adapters.paypal_answers import read_uuid
from billing.adapters.provider_http import Clock
from billing.ports import ProviderUnavailable, SignatureRejected, WebhookEvent

ALGORITHM = "SHA256withRSA"
"""The one algorithm that PayPal uses; the header does not get to choose another."""
CERTIFICATE_PATH = "/v1/notifications/certs/"
CERTIFICATE_BYTES = 64 * 1024
CERTIFICATE_TIMEOUT_SECONDS = 5
CACHED_CERTIFICATES = 16

LIVE_ORIGINS = ("https://api.paypal.com", "https://api-m.paypal.com")
SANDBOX_ORIGINS = ("https://api.sandbox.paypal.com", "https://api-m.sandbox.paypal.com")
LIVE_COMMON_NAME = "messageverificationcerts.paypal.com"
SANDBOX_COMMON_NAME = "messageverificationcerts.sandbox.paypal.com"


@dataclass(frozen=True, slots=True)
class Transmission:
    """The signature headers of one delivery."""

    transmission_id: str
    time: str
    signature: str
    certificate_url: str
    algorithm: str

    @classmethod
    def read(cls, headers: Mapping[str, str]) -> "Transmission":
        """Take the five headers, in any case.

        Raises:
            SignatureRejected: one is missing.
        """
        lower = {name.lower(): value for name, value in headers.items()}
        names = ("transmission-id", "transmission-time", "transmission-sig", "cert-url", "auth-algo")
        missing = [name for name in names if not lower.get(f"paypal-{name}")]
        if missing:
            raise SignatureRejected("header_missing", missing[0])
        return cls(*(lower[f"paypal-{name}"] for name in names))

    def signed_bytes(self, webhook_id: str, body: bytes) -> bytes:
        """What the signature covers: the CRC32 of the raw body stands for it, as a decimal number."""
        return f"{self.transmission_id}|{self.time}|{webhook_id}|{zlib.crc32(body)}".encode()

    def check_signature(self, certificate: x509.Certificate, webhook_id: str, body: bytes) -> None:
        """Return if `certificate` signed exactly this delivery.

        Raises:
            SignatureRejected: it did not.
        """
        if self.algorithm != ALGORITHM:
            raise SignatureRejected("algorithm", self.algorithm)
        public_key = certificate.public_key()
        if not isinstance(public_key, rsa.RSAPublicKey):
            raise SignatureRejected("key_type")
        try:
            signature = base64.b64decode(self.signature, validate=True)
            public_key.verify(signature, self.signed_bytes(webhook_id, body), padding.PKCS1v15(), hashes.SHA256())
        except (ValueError, InvalidSignature) as error:
            raise SignatureRejected("signature") from error


class OnlineVerifier:
    """The `WebhookVerifier` that asks PayPal."""

    def __init__(self, paypal: PayPal, webhook_id: str) -> None:
        self._paypal = paypal
        self._webhook_id = webhook_id

    async def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """Return if PayPal says SUCCESS.

        Raises:
            SignatureRejected: PayPal says FAILURE, or the delivery is not even JSON.
            ProviderUnavailable: PayPal does not answer.
        """
        sent = Transmission.read(headers)
        try:
            json.loads(body.decode())
        except ValueError as error:
            raise SignatureRejected("not_json") from error
        question = {
            "auth_algo": sent.algorithm,
            "cert_url": sent.certificate_url,
            "transmission_id": sent.transmission_id,
            "transmission_sig": sent.signature,
            "transmission_time": sent.time,
            "webhook_id": self._webhook_id,
        }
        # The event goes back with the bytes it came with: parsing and writing it anew breaks the signature.
        spliced = json.dumps(question)[:-1].encode() + b',"webhook_event":' + body + b"}"
        verdict = await self._paypal.verify_webhook_signature(spliced)
        if verdict != "SUCCESS":
            raise SignatureRejected("verdict", verdict)


class OfflineFirst:
    """The `WebhookVerifier` that checks by itself and asks PayPal only where the certificate cannot be had.

    What the certificate refuses stays refused: a second opinion would be one more way in.
    """

    def __init__(self, offline: "OfflineVerifier", online: OnlineVerifier) -> None:
        self._offline = offline
        self._online = online

    async def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """Return if PayPal signed these bytes for our listener.

        Raises:
            SignatureRejected: it did not.
            ProviderUnavailable: neither its certificate nor its verdict can be had now.
        """
        try:
            await self._offline.verify(headers, body)
        except ProviderUnavailable:
            await self._online.verify(headers, body)


@dataclass(frozen=True)
class OfflineConfig:
    """Whose certificates are believed; origins and names of one environment only."""

    webhook_id: str
    """The id that PayPal gave to our listener, not that of an event."""
    cert_origins: tuple[str, ...]
    """Exactly these scheme, host and port: the address comes from whoever sends the webhook."""
    common_names: tuple[str, ...]
    trust_anchors_pem: str | None = None
    """Authorities to trust instead of the public ones."""


class OfflineVerifier:
    """The `WebhookVerifier` that needs PayPal only for its certificate, which is fetched once and kept."""

    def __init__(self, config: OfflineConfig, http: httpx.AsyncClient, clock: Clock) -> None:
        self._config = config
        self._http = http
        self._clock = clock
        self._store = Store(_anchors(config.trust_anchors_pem))
        self._cache: OrderedDict[str, tuple[x509.Certificate, ...]] = OrderedDict()

    async def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """Return if a certificate of PayPal's, valid now, signed these bytes for our listener.

        Raises:
            SignatureRejected: it did not.
            ProviderUnavailable: its certificate cannot be had now.
        """
        sent = Transmission.read(headers)
        if sent.algorithm != ALGORITHM:
            raise SignatureRejected("algorithm", sent.algorithm)
        self._check_address(sent.certificate_url)
        chain = await self._chain(sent.certificate_url)
        self._check_certificate(chain)
        sent.check_signature(chain[0], self._config.webhook_id, body)

    def _check_address(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            plain = not (parts.username or parts.password or parts.query or parts.fragment)
        except ValueError as error:
            raise SignatureRejected("certificate_address") from error
        origin = f"{parts.scheme}://{parts.netloc}"
        name = parts.path.removeprefix(CERTIFICATE_PATH)
        inside = parts.path.startswith(CERTIFICATE_PATH) and name.replace("-", "").replace("_", "").isalnum()
        if not plain or not inside or not name.isascii() or origin not in self._config.cert_origins:
            raise SignatureRejected("certificate_address", origin)

    async def _chain(self, url: str) -> tuple[x509.Certificate, ...]:
        if url not in self._cache:
            self._cache[url] = _certificates(await self._fetch(url))
            if len(self._cache) > CACHED_CERTIFICATES:
                self._cache.popitem(last=False)
        return self._cache[url]

    async def _fetch(self, url: str) -> bytes:
        data = bytearray()
        try:
            async with self._http.stream(
                "GET", url, timeout=CERTIFICATE_TIMEOUT_SECONDS, follow_redirects=False
            ) as answer:
                if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
                    raise ProviderUnavailable(f"http_{answer.status_code}", "certificate")
                if answer.status_code != httpx.codes.OK:
                    raise SignatureRejected("certificate_missing", str(answer.status_code))
                async for chunk in answer.aiter_bytes():
                    data += chunk
                    if len(data) > CERTIFICATE_BYTES:
                        raise SignatureRejected("certificate_size")
        except httpx.TransportError as error:
            raise ProviderUnavailable("no_answer", type(error).__name__) from error
        return bytes(data)

    def _check_certificate(self, chain: tuple[x509.Certificate, ...]) -> None:
        leaf, *intermediates = chain
        names = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        if len(names) != 1 or names[0].value not in self._config.common_names:
            raise SignatureRejected("certificate_name")
        policy = PolicyBuilder().store(self._store).time(self._clock())
        try:
            policy.build_server_verifier(x509.DNSName(str(names[0].value))).verify(leaf, intermediates)
        except VerificationError as error:
            raise SignatureRejected("certificate_chain", str(error)) from error


def _anchors(pem: str | None) -> list[x509.Certificate]:
    """The authorities in `pem`; without it the public ones, except those too odd to be read."""
    if pem is not None:
        return x509.load_pem_x509_certificates(pem.encode())
    anchors = []
    for block in re.findall(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", _public_roots(), re.DOTALL):
        with warnings.catch_warnings():
            # Some public roots have a serial number of zero, which is reported as an error to be.
            warnings.simplefilter("error", CryptographyDeprecationWarning)
            with contextlib.suppress(ValueError, CryptographyDeprecationWarning):
                anchors.append(x509.load_pem_x509_certificate(block))
    return anchors


def _public_roots() -> bytes:
    return Path(certifi.where()).read_bytes()


def _certificates(data: bytes) -> tuple[x509.Certificate, ...]:
    # The address has been seen to answer something that is no certificate at all.
    try:
        return tuple(x509.load_pem_x509_certificates(data))
    except ValueError as error:
        raise SignatureRejected("certificate_malformed") from error


def parse_event(body: bytes) -> WebhookEvent:
    """Which payment a delivery is about.

    Raises:
        ValueError: it is not an event of PayPal's.
    """
    event = json.loads(body.decode())
    if not isinstance(event, dict) or not isinstance(event.get("id"), str) or not event["id"]:
        raise ValueError("a PayPal event has an id")
    event_type = str(event.get("event_type", ""))
    resource = event.get("resource")
    about = resource if isinstance(resource, dict) else {}
    order, capture, custom = _subject(event_type, about)
    return WebhookEvent(
        event_id=event["id"],
        event_type=event_type,
        order_reference=order,
        capture_reference=capture,
        payment_id=read_uuid(custom),
        dispute_reference=_text(about.get("dispute_id")) if event_type.startswith("CUSTOMER.DISPUTE.") else None,
    )


def _subject(event_type: str, resource: dict[str, Any]) -> tuple[str | None, str | None, str | None]:
    """Order, capture and our own id, as far as this kind of event names them."""
    if event_type.startswith("CHECKOUT."):
        unit = _first(resource.get("purchase_units"))
        return _text(resource.get("order_id") or resource.get("id")), None, _text(unit.get("custom_id"))
    if event_type.startswith("CUSTOMER.DISPUTE."):
        disputed = _first(resource.get("disputed_transactions"))
        return None, _text(disputed.get("seller_transaction_id")), _text(disputed.get("custom"))
    related = _at(resource, "supplementary_data", "related_ids")
    capture = related.get("capture_id") or _up(resource, "/captures/") or resource.get("id")
    order = related.get("order_id") or _up(resource, "/orders/")
    return _text(order), _text(capture), _text(resource.get("custom_id"))


def _up(resource: dict[str, Any], kind: str) -> str | None:
    """Id of the parent that the `up` link names, if it is of this kind: a refund's capture, a capture's order."""
    links = resource.get("links")
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("rel") == "up" and kind in str(link.get("href")):
            return str(link["href"]).rsplit("/", 1)[-1]
    return None


def _at(data: dict[str, Any], *names: str) -> dict[str, Any]:
    for name in names:
        found = data.get(name)
        data = found if isinstance(found, dict) else {}
    return data


def _first(items: Any) -> dict[str, Any]:
    return items[0] if isinstance(items, list) and items and isinstance(items[0], dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
