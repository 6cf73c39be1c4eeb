"""Passkey ceremonies (https://www.w3.org/TR/webauthn-3/) by Duo's library: options for browsers, and their answers.

Not here: whose passkey it is and whether its challenge is ours, which the use cases decide.
"""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from tenancy.domain.passkeys import Passkey
from tenancy.domain.people import User
from tenancy.errors import PasskeyRefused
from tenancy.ports import NewPasskey

NAME = "ESXi Backup Manager"
Options = tuple[bytes, dict[str, Any]]


class WebAuthnPasskeys:
    """Asks for passkeys that a browser finds by itself, and for their holder's finger, face or number each time.

    Args:
        rp_id: domain that passkeys are made for; they work on its subdomains too.
        origins: pages that may ask for them, such as `https://app.example.org`.
    """

    def __init__(self, rp_id: str, origins: Sequence[str]) -> None:
        self._rp_id = rp_id
        self._origins = list(origins)

    def registration(self, user: User, existing: Sequence[Passkey]) -> Options:
        """A challenge, and what the browser's `navigator.credentials.create()` takes."""
        options = generate_registration_options(
            rp_id=self._rp_id,
            rp_name=NAME,
            user_id=user.id.bytes,
            user_name=user.email,
            user_display_name=user.full_name,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,
                user_verification=UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=[PublicKeyCredentialDescriptor(id=one.credential_id) for one in existing],
        )
        return options.challenge, json.loads(options_to_json(options))

    def registered(self, credential: dict[str, Any], challenge: bytes) -> NewPasskey:
        """Check what the browser brought.

        Raises:
            PasskeyRefused: another challenge, origin or domain, its holder was not verified, or it is no passkey.
        """
        try:
            found = verify_registration_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=self._rp_id,
                expected_origin=self._origins,
                require_user_verification=True,
            )
        except _NO_PASSKEY as error:
            raise PasskeyRefused from error
        return NewPasskey(found.credential_id, found.credential_public_key, found.sign_count)

    def authentication(self) -> Options:
        """A challenge, and what `navigator.credentials.get()` takes; it names no account, so it tells of none."""
        options = generate_authentication_options(
            rp_id=self._rp_id, user_verification=UserVerificationRequirement.REQUIRED
        )
        return options.challenge, json.loads(options_to_json(options))

    def credential_id(self, credential: dict[str, Any]) -> bytes:
        """Which passkey an answer says that it is of.

        Raises:
            PasskeyRefused: it says nothing readable, or names another account than its own.
        """
        try:
            return base64url_to_bytes(credential["rawId"])
        except (KeyError, TypeError, ValueError) as error:
            raise PasskeyRefused from error

    def signed(self, credential: dict[str, Any], challenge: bytes, passkey: Passkey) -> int:
        """Check a signature; return the device's count of them.

        Raises:
            PasskeyRefused: another key, challenge, origin, domain or account, its holder was not verified, or the
                count did not grow: somebody has a copy of the key.
        """
        try:
            handle = credential["response"].get("userHandle")
            if handle and UUID(bytes=base64url_to_bytes(handle)) != passkey.user_id:
                raise PasskeyRefused
            found = verify_authentication_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=self._rp_id,
                expected_origin=self._origins,
                credential_public_key=passkey.public_key,
                credential_current_sign_count=passkey.sign_count,
                require_user_verification=True,
            )
        except _NO_PASSKEY as error:
            raise PasskeyRefused from error
        return found.new_sign_count


_NO_PASSKEY = (WebAuthnException, KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError)
"""What the library raises about answers that nobody's browser would give."""
