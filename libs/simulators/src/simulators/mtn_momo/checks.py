"""What MTN refuses in a request to pay or a refund before anything happens. Pure: no state, no clock."""

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
REFUND_FIELDS = {"amount", "currency", "externalId", "payerMessage", "payeeNote", "referenceIdToRefund"}
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
    if not isinstance(body, dict) or set(body) != FIELDS or not _is_payer(body["payer"]):
        return BAD_REQUEST
    return _money_fault({key: value for key, value in body.items() if key != "payer"}, currency)


def refund_fault(body: Any, currency: str) -> Refusal | None:
    """Why `body` of a refund is refused; which collection it names is looked at later."""
    if not isinstance(body, dict) or set(body) != REFUND_FIELDS:
        return BAD_REQUEST
    fault = _money_fault(body, currency)
    return fault if fault is not None else None if is_uuid4(body["referenceIdToRefund"]) else BAD_REQUEST


def _money_fault(body: dict[str, Any], currency: str) -> Refusal | None:
    if not all(isinstance(value, str) for value in body.values()):
        return BAD_REQUEST
    if not body["externalId"] or not WHOLE_AMOUNT.fullmatch(body["amount"]):
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
