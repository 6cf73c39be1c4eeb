"""What PayPal demands of a request body before it looks at the business. Pure checks."""

import json
from typing import Any
from urllib.parse import urlsplit

from simulators.paypal.issues import IssueError

UNIT_TEXTS = {"custom_id": 127, "invoice_id": 127, "description": 127, "reference_id": 256}
REQUEST_ID_LENGTH = 108


def json_object(content_type: str, body: bytes, *, may_be_empty: bool = False) -> dict[str, Any]:
    """The body as an object.

    Raises:
        IssueError: not declared as JSON (415), or not JSON (400).
    """
    if content_type.split(";", maxsplit=1)[0].strip().lower() != "application/json":
        raise IssueError(415)
    if not body and may_be_empty:
        return {}
    try:
        parsed = json.loads(body)
    except ValueError:
        raise IssueError(400, "MALFORMED_REQUEST_JSON") from None
    if not isinstance(parsed, dict):
        raise IssueError(400, "MALFORMED_REQUEST_JSON")
    return parsed


def check_order(request: dict[str, Any], request_id: str | None) -> None:
    """Refuse an order that is not one.

    Raises:
        IssueError: with the first fault found.
    """
    if "intent" not in request:
        raise IssueError(400, "MISSING_REQUIRED_PARAMETER", "/intent")
    if request["intent"] not in ("CAPTURE", "AUTHORIZE"):
        raise IssueError(400, "INVALID_PARAMETER_VALUE", "/intent")
    units = request.get("purchase_units")
    if not isinstance(units, list) or len(units) != 1 or not isinstance(units[0], dict):
        raise IssueError(400, "MISSING_REQUIRED_PARAMETER", "/purchase_units")
    for name, longest in UNIT_TEXTS.items():
        value = units[0].get(name, "-")
        if not isinstance(value, str) or not 1 <= len(value) <= longest:
            raise IssueError(400, "INVALID_STRING_LENGTH", f"/purchase_units/0/{name}")
    if "payment_source" in request and request_id is None:
        raise IssueError(400, "PAYPAL_REQUEST_ID_REQUIRED")
    _check_return(request)


def check_request_id(request_id: str | None) -> None:
    """Refuse a key of a length that PayPal does not take.

    Raises:
        IssueError: 400.
    """
    if request_id is not None and not 1 <= len(request_id) <= REQUEST_ID_LENGTH:
        raise IssueError(400, "INVALID_STRING_LENGTH", "PayPal-Request-Id")


def _check_return(request: dict[str, Any]) -> None:
    wallet = request.get("payment_source", {}).get("paypal", {})
    context = wallet.get("experience_context") or request.get("application_context") or {}
    for name in ("return_url", "cancel_url"):
        url = context.get(name)
        if url is not None and not _is_web_address(url):
            raise IssueError(400, "INVALID_PARAMETER_SYNTAX", f"/payment_source/paypal/experience_context/{name}")


def _is_web_address(url: Any) -> bool:
    if not isinstance(url, str):
        return False
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and bool(parts.netloc)
