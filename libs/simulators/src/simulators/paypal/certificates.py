"""A certificate authority of our own and the leaf that signs webhooks, made afresh for each simulator.

The shape is the real one: RSA 2048, subject CN and DNS name of PayPal's message verification host, served as PEM.
"""

import datetime as dt
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

COMMON_NAME = "messageverificationcerts.sandbox.paypal.com"


@dataclass(frozen=True)
class Signer:
    """The leaf's key and certificate, and the authority that a receiver has to trust."""

    key: rsa.RSAPrivateKey
    certificate_pem: bytes
    ca_pem: bytes

    def sign(self, message: bytes) -> bytes:
        """SHA256withRSA."""
        return self.key.sign(message, padding.PKCS1v15(), hashes.SHA256())

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """True if this signer made `signature` over `message`."""
        try:
            self.key.public_key().verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        except Exception:  # noqa: BLE001  cryptography raises InvalidSignature or ValueError: neither verifies
            return False
        return True


def make_signer(*, common_name: str = COMMON_NAME, starts: dt.datetime | None = None, days: int = 90) -> Signer:
    """An authority and a leaf valid for `days` from `starts` (default: an hour ago)."""
    starts = starts or dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    ends = starts + dt.timedelta(days=days)
    ca_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Simulated message CA")])
    ca = (
        _builder(ca_name, ca_name, ca_key.public_key(), starts, ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    leaf = (
        _builder(name, ca_name, key.public_key(), starts, ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(common_name)]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    return Signer(key, leaf.public_bytes(encoding), ca.public_bytes(encoding))


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: rsa.RSAPublicKey,
    starts: dt.datetime,
    ends: dt.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(starts)
        .not_valid_after(ends)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
