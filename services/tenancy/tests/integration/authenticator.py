"""A software authenticator: real CBOR, COSE and signatures, and every way to get them wrong."""

import hashlib
import json
import os
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Authenticator:
    """One passkey on one device. `origin` and `rp_id` are the browser's to fill in; a test may lie about them."""

    origin: str = "https://app.exemple.cm"
    rp_id: str = "app.exemple.cm"
    flags: int = PRESENT | VERIFIED
    count: int = 0
    ed25519: bool = False
    credential_id: bytes = field(default_factory=lambda: os.urandom(32))
    user_handle: bytes = b""

    def __post_init__(self) -> None:
        self._key: Any = Ed25519PrivateKey.generate() if self.ed25519 else ec.generate_private_key(ec.SECP256R1())

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        """`navigator.credentials.create()`, as JSON."""
        self.user_handle = decoded(options["user"]["id"])
        about = b"\0" * 16 + struct.pack(">H", len(self.credential_id)) + self.credential_id + self._cose()
        attestation = {"fmt": "none", "attStmt": {}, "authData": self._data(self.flags | ATTESTED) + about}
        return self._credential(
            clientDataJSON=encoded(self._client("webauthn.create", options["challenge"])),
            attestationObject=encoded(cbor2.dumps(attestation)),
        )

    def get(self, options: dict[str, Any]) -> dict[str, Any]:
        """`navigator.credentials.get()`, as JSON; each signature is counted."""
        self.count += 1
        data, client = self._data(self.flags), self._client("webauthn.get", options["challenge"])
        return self._credential(
            clientDataJSON=encoded(client),
            authenticatorData=encoded(data),
            signature=encoded(self._sign(data + hashlib.sha256(client).digest())),
            userHandle=encoded(self.user_handle),
        )

    def _credential(self, **response: str) -> dict[str, Any]:
        own = encoded(self.credential_id)
        return {"id": own, "rawId": own, "type": "public-key", "response": response, "clientExtensionResults": {}}

    def _data(self, flags: int) -> bytes:
        return hashlib.sha256(self.rp_id.encode()).digest() + struct.pack(">BI", flags, self.count)

    def _client(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}).encode()

    def _cose(self) -> bytes:
        public = self._key.public_key()
        if self.ed25519:
            return cbor2.dumps({1: 1, 3: -8, -1: 6, -2: public.public_bytes(Encoding.Raw, PublicFormat.Raw)})
        numbers = public.public_numbers()
        return cbor2.dumps({1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)})

    def _sign(self, message: bytes) -> bytes:
        if self.ed25519:
            return bytes(self._key.sign(message))
        return bytes(self._key.sign(message, ec.ECDSA(SHA256())))
