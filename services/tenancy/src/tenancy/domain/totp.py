"""One-time codes by time (RFC 6238): which time step a code belongs to, so that each is accepted once."""

import hmac
from datetime import datetime

import pyotp

STEP_SECONDS = 30
"""The interval that authenticator apps use."""

DRIFT_STEPS = 1
"""Steps before and after the current one that are accepted, for clocks that are off."""

ISSUER = "ESXi Backup Manager"
"""Under which name applications list the account."""


def new_secret() -> str:
    """160 random bits in base32, as authenticator apps take them."""
    return pyotp.random_base32()


def provisioning_uri(secret: str, account: str) -> str:
    """What the QR code for an authenticator application says (the Key URI format)."""
    return pyotp.TOTP(secret, interval=STEP_SECONDS).provisioning_uri(name=account, issuer_name=ISSUER)


def matching_step(secret: str, code: str, now: datetime, last_used: int | None) -> int | None:
    """The time step that `code` proves, or None when it is wrong or was used before.

    The caller stores the step: RFC 6238 §5.2 wants each code accepted only once, so a step not later than
    `last_used` does not match any more.
    """
    current = int(now.timestamp()) // STEP_SECONDS
    otp = pyotp.TOTP(secret, interval=STEP_SECONDS)
    for step in range(current - DRIFT_STEPS, current + DRIFT_STEPS + 1):
        expected = otp.generate_otp(step)
        fresh = last_used is None or step > last_used
        if fresh and hmac.compare_digest(expected.encode(), code.strip().encode()):
            return step
    return None
