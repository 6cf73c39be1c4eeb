"""Which header fields pass, in both directions.

Servers fold spellings: `X_Tenant_Id` and `X.Tenant.Id` become `X-Tenant-Id` somewhere behind us (CVE-2024-45410 is
one of many). So a name with anything but letters, digits and dashes does not pass, in any spelling; nor does any
`X-…` field, except those that are named here.
"""

import re
from collections.abc import Iterable

Headers = list[tuple[bytes, bytes]]

MOST_BYTES = 32 * 1024
"""Names and values of one request together."""

MOST_FIELDS = 100

_NAME = re.compile(rb"[a-z0-9-]+")

ALLOWED_X = frozenset({b"x-requested-with", b"x-reason"})
"""Fields with an `X-` that clients may send: what browsers' libraries add, and a staff member's reason."""

CONNECTION_BOUND = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    }
)
"""Fields of one connection only (RFC 9110 §7.6.1)."""

OURS = frozenset(
    {
        b"host", b"content-length", b"expect", b"authorization", b"cookie", b"forwarded", b"via", b"traceparent",
        b"tracestate", b"remote-user", b"remote-addr", b"client-ip", b"true-client-ip", b"cf-connecting-ip",
        b"tenant-id", b"tenant", b"organization", b"organization-id", b"user-id",
    }
)  # fmt: skip
"""Fields that the gateway sets itself, or that could be taken for something that it vouches for."""

OUR_PREFIXES = (b"x-", b"internal-", b"proxy-", b"remote-")

ANSWER_DROPPED = CONNECTION_BOUND | {
    b"x-request-id",
    b"date",
    b"server",
    b"x-tenant-id",
    b"x-content-type-options",
    b"ratelimit",
    b"ratelimit-policy",
}
"""Fields of an answer that stay behind; the gateway sets its own."""


def are_too_large(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a request's header section is over the limits."""
    count = size = 0
    for name, value in headers:
        count += 1
        size += len(name) + len(value)
    return count > MOST_FIELDS or size > MOST_BYTES


def passing(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The fields of a request that go on to a service, names in lower case."""
    fields = [(name.lower(), value) for name, value in headers]
    named_by_connection = {
        token.strip().lower() for name, value in fields if name == b"connection" for token in value.split(b",")
    }
    return [
        (name, value)
        for name, value in fields
        if _NAME.fullmatch(name)
        and name not in CONNECTION_BOUND
        and name not in OURS
        and name not in named_by_connection
        and (name in ALLOWED_X or not name.startswith(OUR_PREFIXES))
    ]


def as_text(value: bytes) -> str:
    """A value for the client that asks services, which writes text as UTF-8: so that arrives byte for byte, and
    Latin-1, which browsers send (RFC 9110 §5.5), as the same text.
    """
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def returning(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The fields of a service's answer that go back to the client."""
    return [(name.lower(), value) for name, value in headers if name.lower() not in ANSWER_DROPPED]


def bearer(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The bearer token of a request; None when there is none, or more than one Authorization field."""
    found = [value for name, value in headers if name.lower() == b"authorization"]
    if len(found) != 1:
        return None
    scheme, _, token = found[0].decode("latin-1").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None
