"""How a refusal is checked from outside: the problem that every error is, in both languages, and that nothing changed.

The end-to-end tests of bad input use it; which input is bad is theirs to say.
"""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from devstack.customer import JSON, Customer, Refused

PROBLEM = {"type", "title", "status", "code", "detail", "request_id", "instance"}
"""Members that every problem has (RFC 9457, and ours)."""

LISTS = (
    "/api/auth/user/",
    "/api/tenants/organizations/",
    "/api/tenants/orders/",
    "/api/tenants/payments/",
    "/api/tenants/invoices/",
)
ORGANIZATION_LISTS = (
    "/api/esxi-servers/",
    "/api/virtual-machines/",
    "/api/datastores/",
    "/api/backup-configs/",
    "/api/backup-jobs/",
    "/api/backup-chains/",
    "/api/restore-points/",
    "/api/restore/jobs/",
)
TOKEN = re.compile(r"(?<=/auth/invitations/)[^/]+|(?<=/mtn-momo/)[^/]+|(?<=/api/downloads/)[^/]+")
"""A secret in a path, which a problem does not repeat."""
VARYING = {"date", "x-request-id", "traceparent", "content-length", "ratelimit", "ratelimit-policy"}
"""Header fields of an answer that differ from one to the next; the length does where two ids have different ones."""


async def refused(customer: Customer, method: str, path: str, status: int, code: str, **request: Any) -> JSON:
    """Send a request in French and in English, check both refusals, and return the French problem.

    Args:
        customer: Who sends it.
        method: Its method.
        path: Its path.
        status: The status that is expected.
        code: The code that is expected.
        **request: What else httpx is told: ``json``, ``content``, ``files``, ``headers``.

    Raises:
        Refused: Another answer; the message is the whole of it.
    """
    problems: dict[str, JSON] = {}
    headers = request.pop("headers", {})
    for language in ("fr", "en"):
        answer = await customer.http.request(method, path, headers={"accept-language": language, **headers}, **request)
        if answer.status_code != status or answer.headers.get("content-type") != "application/problem+json":
            raise Refused(answer)
        body: JSON = answer.json()
        if set(body) < PROBLEM or (body["code"], body["status"], body["type"]) != (code, status, f"/problems/{code}"):
            raise Refused(answer)
        if answer.headers.get("content-language") != language:
            raise Refused(answer)
        if body["instance"] != TOKEN.sub("[redacted]", answer.request.url.path) or not all(
            body[name] for name in PROBLEM
        ):
            raise Refused(answer)
        problems[language] = body
    assert problems["fr"]["detail"] != problems["en"]["detail"], f"{code} has one text for both languages"
    assert problems["fr"]["request_id"] != problems["en"]["request_id"]
    return problems["fr"]


def reduced(answer: Any, *asked: str) -> tuple[int, str, tuple[tuple[str, str], ...]]:
    """Reduce an answer to what may not differ between a foreign id and a missing one.

    Returns:
        Status; body without the request's id and the ids that were asked for; header fields.
    """
    try:
        body = answer.json()
    except ValueError:
        body = answer.text
    if isinstance(body, dict):
        body.pop("request_id", None)
    text = json.dumps(body, sort_keys=True)
    for name in asked:
        text = text.replace(name, "<id>")
    return answer.status_code, text, tuple(sorted((k, v) for k, v in answer.headers.items() if k not in VARYING))


async def state_of(customer: Customer) -> JSON:
    """Return everything that the customer can list, and the usage of his organization."""
    state: JSON = {path: await customer.get(path) for path in LISTS}
    active = state["/api/auth/user/"].get("organization")
    if active is not None:
        here = f"/api/tenants/organizations/{active}"
        for path in (*ORGANIZATION_LISTS, f"{here}/members/", f"{here}/usage/"):
            state[path] = await customer.get(path)
    return state


@asynccontextmanager
async def unchanged(*customers: Customer) -> AsyncIterator[None]:
    """Fail where anything that one of the customers can list is different after the block.

    Raises:
        AssertionError: Says whose list, and how it differs.
    """
    before = [await state_of(customer) for customer in customers]
    yield
    for customer, former in zip(customers, before, strict=True):
        now = await state_of(customer)
        differing = {path: (former.get(path), now[path]) for path in now if former.get(path) != now[path]}
        assert not differing, f"{customer.email}: {json.dumps(differing)[:3000]}"
