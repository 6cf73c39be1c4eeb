"""What MTN refuses in a request to pay before anything happens. Pure: no state, no clock."""

import re
import uuid
from typing import Any
from urllib.parse import urlsplit

from simulators.mtn_momo.outcomes import Refusal, refusal

TEXT = re.compile(r"[A-Za-z0-9 ._,:/()#-]{1,128}")
"""Characters that MTN takes in messages: neither apostrophe nor ampersand nor letters with accents."""
WHOLE_AMOUNT = re.compile(r"[1-9][0-9]{0,17}")
MSISDN = re.compile(r"[1-9][0-9]{7,14}")
FIELDS = {"amount", "currency", "externalId", "payer", "payerMessage", "payeeNote"}
BAD_REQUEST = Refusal(400, "", "")
"""MTN's 400 has an empty body."""


def is_uuid4(text: str | None) -> bool:
    """True for a UUID of version 4 in its usual spelling."""
    try:
        parsed = uuid.UUID(text or "")
    except ValueError:
        return False
    return parsed.version == 4 and str(parsed) == (text or "").lower()


def body_fault(body: Any, currency: str) -> Refusal | None:
    """Why `body` of a requesttopay is refused in an environment whose currency is `currency`; None where it is not."""
    if not isinstance(body, dict) or set(body) != FIELDS:
        return BAD_REQUEST
    if not all(isinstance(value, str) for key, value in body.items() if key != "payer"):
        return BAD_REQUEST
    if not _is_payer(body["payer"]) or not body["externalId"] or not WHOLE_AMOUNT.fullmatch(body["amount"]):
        return BAD_REQUEST
    if not (TEXT.fullmatch(body["payerMessage"]) and TEXT.fullmatch(body["payeeNote"])):
        return BAD_REQUEST
    if body["currency"] != currency:
        return refusal(500, "INVALID_CURRENCY")
    return None


def _is_payer(payer: Any) -> bool:
    return (
        isinstance(payer, dict)
        and payer.get("partyIdType") == "MSISDN"
        and isinstance(payer.get("partyId"), str)
        and MSISDN.fullmatch(payer["partyId"]) is not None
    )


def callback_fault(url: str | None, host: str) -> Refusal | None:
    """Why this X-Callback-Url is refused for an API user registered with callback host `host`."""
    if url is None:
        return None
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.username or parts.port not in (None, 443):
        return BAD_REQUEST
    if parts.hostname != host:
        return refusal(500, "INVALID_CALLBACK_URL_HOST")
    return None
