"""ID tokens as compact JWS (RFC 7515), by hand: the side that checks them uses a library and shall not judge itself."""

import json
from base64 import urlsafe_b64encode
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256


def encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int) -> str:
    return encoded(value.to_bytes((value.bit_length() + 7) // 8))


@cache
def _private_key(name: str) -> rsa.RSAPrivateKey:  # noqa: ARG001 - the cache's key
    """One key by each name for the whole process: making one takes a while."""
    return rsa.generate_private_key(65537, 2048)


class RsaKey:
    """One RS256 key.

    Args:
        name: which of this process's keys it is.
        kid: the id under which it is published.
    """

    def __init__(self, name: str, kid: str) -> None:
        self.kid = kid
        self._private = _private_key(name)

    def public_jwk(self) -> dict[str, str]:
        numbers = self._private.public_key().public_numbers()
        return {
            "kty": "RSA", "kid": self.kid, "alg": "RS256", "use": "sig",
            "n": _number(numbers.n), "e": _number(numbers.e),
        }  # fmt: skip

    def signed(self, claims: dict[str, Any], *, alg: str = "RS256") -> str:
        """A token; `alg` other than RS256 is a lie that leaves the signature out."""
        header = {"alg": alg, "typ": "JWT", "kid": self.kid}
        message = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
        if alg != "RS256":
            return f"{message}."
        return f"{message}.{encoded(self._private.sign(message.encode(), padding.PKCS1v15(), SHA256()))}"
