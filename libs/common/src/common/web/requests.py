"""What routes take from a request's headers, declared once."""

from typing import Annotated

from fastapi import Depends, Header
from pydantic import BeforeValidator

from common.web.problems import language_of

IdempotencyKey = Annotated[str | None, Header(alias="Idempotency-Key")]
"""Given to `common.idempotency.once`; ``None`` executes without memory."""


async def _language(accept_language: Annotated[str | None, Header()] = None) -> str:
    return language_of(accept_language)


LanguageDep = Annotated[str, Depends(_language)]
"""``fr`` or ``en``, as the caller prefers."""


def _as_written(value: str) -> str:
    """The text of a header whose bytes are UTF-8; the server has read them as Latin-1 (ASGI, RFC 9110 §5.5)."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


ReadReason = Annotated[
    str,
    BeforeValidator(_as_written),
    Header(alias="x-reason", min_length=3, max_length=500, description="Why, for the audit log; UTF-8 or Latin-1"),
]
"""Why a person of the staff reads what is others'; goes into the audit row of the transaction that reads."""
