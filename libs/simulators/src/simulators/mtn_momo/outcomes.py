"""What each payer's number leads to: the sandbox's table of special numbers, for payments and for account holders.

Any other number pays after the configured delay. Not here: timing and the wire.
"""

from dataclasses import dataclass
from typing import Literal

Status = Literal["PENDING", "SUCCESSFUL", "FAILED"]


@dataclass(frozen=True)
class Refusal:
    """The POST itself is answered with an error; the reference is not stored."""

    status: int
    code: str
    message: str


@dataclass(frozen=True)
class Course:
    """The request is accepted (202) and later ends so; `ends=None` stays PENDING."""

    ends: Literal["SUCCESSFUL", "FAILED"] | None
    reason: str | None = None
    slow: bool = False
    """Ends after `ongoing_delay` instead of `approval_delay`."""


MESSAGES = {
    "NOT_ALLOWED": "Authorization failed. Insufficient permissions.",
    "NOT_ALLOWED_TARGET_ENVIRONMENT": "Access to target environment is forbidden.",
    "INVALID_CALLBACK_URL_HOST": "Callback URL with different host set.",
    "INVALID_CURRENCY": "Currency not supported.",
    "INTERNAL_PROCESSING_ERROR": "An internal error occurred while processing.",
    "SERVICE_UNAVAILABLE": "Service temporarily unavailable, try again later.",
    "RESOURCE_NOT_FOUND": "Requested resource was not found.",
    "RESOURCE_ALREADY_EXIST": "Duplicated reference id. Creation of resource failed.",
    "PAYER_NOT_FOUND": "Payer not found.",
    "PAYEE_NOT_ALLOWED_TO_RECEIVE": "Payee is currently unable to receive funds.",
}


def refusal(status: int, code: str) -> Refusal:
    """A refusal with the provider's usual sentence for `code`."""
    return Refusal(status, code, MESSAGES.get(code, code))


PAYS = Course("SUCCESSFUL")

PAYERS: dict[str, Course | Refusal] = {
    "46733123450": Course("FAILED", "INTERNAL_PROCESSING_ERROR"),
    "46733123451": Course("FAILED", "APPROVAL_REJECTED"),
    "46733123452": Course("FAILED", "EXPIRED"),
    "46733123453": Course("SUCCESSFUL", slow=True),
    "46733123454": Course(None),
    "46733123455": Course("FAILED", "PAYER_NOT_FOUND"),
    "46733123456": Course("FAILED", "PAYEE_NOT_ALLOWED_TO_RECEIVE"),
    "46733123457": refusal(500, "NOT_ALLOWED"),
    "46733123458": refusal(500, "NOT_ALLOWED_TARGET_ENVIRONMENT"),
    "46733123459": refusal(500, "INVALID_CALLBACK_URL_HOST"),
    "46733123460": refusal(500, "INVALID_CURRENCY"),
    "46733123461": refusal(500, "INTERNAL_PROCESSING_ERROR"),
    "46733123462": refusal(503, "SERVICE_UNAVAILABLE"),
    "46733123463": Course("FAILED", "COULD_NOT_PERFORM_TRANSACTION"),
    "46733123464": Course("FAILED", "TRANSFER_TYPE_UNKNOWN"),
}
"""Payer of requesttopay → what becomes of it (https://momodeveloper.mtn.com/api-documentation/testing)."""

HOLDERS: dict[str, bool | Refusal] = {
    "46733123450": refusal(404, "RESOURCE_NOT_FOUND"),
    "46733123451": False,
    "46733123452": refusal(500, "NOT_ALLOWED"),
    "46733123453": refusal(500, "NOT_ALLOWED_TARGET_ENVIRONMENT"),
    "46733123454": refusal(500, "INTERNAL_PROCESSING_ERROR"),
    "46733123455": refusal(503, "SERVICE_UNAVAILABLE"),
}
"""Account holder → is he active, or how the question is refused; every other number is active."""
