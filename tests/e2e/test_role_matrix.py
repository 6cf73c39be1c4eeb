"""Who may call what: `role_matrix.json` declares it, operation by operation, and every caller tries every operation.

What the state of his organization or his plan changes about that is played by
`tests/architecture/test_role_matrix_by_state.py`.

A row is written by hand, apart from the code: an operation without one fails, and so does one that answers otherwise.
The services are asked directly, with tokens as the gateway signs them, so that each caller can be anybody.
"""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from common.auth.internal_token import Claims, InternalTokenSigner, RequestBinding
from common.ids import uuid7
from devstack.customer import JSON

from tests.architecture.role_matrix import CALLERS, GATEWAY, REFUSED_FOR_ROLE, ROLES, rows

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(240),
    pytest.mark.parametrize("endpoints", ["one_process_small_vault"], indirect=True),
]

REFUSED = REFUSED_FOR_ROLE | {"invalid_internal_token": 401}
"""Codes of a refusal for who somebody is, which comes before everything else."""


def claims_of(caller: str) -> Claims:
    if caller == "nobody":
        return Claims(None, None, request_id="matrix-test")
    roles = frozenset({caller}) & frozenset(ROLES)
    staff = frozenset({caller.removeprefix("staff:")}) if caller.startswith("staff:") else frozenset()
    return Claims(uuid7(), uuid7() if roles else None, roles, staff, uuid7(), "matrix-test")


class Inside:
    """Somebody inside the network who has the gateway's key: asks services as anybody."""

    def __init__(self, endpoints: JSON, http: httpx.AsyncClient) -> None:
        self._addresses = endpoints["services"]
        self._signer = InternalTokenSigner(endpoints["gateway_key"])
        self._http = http

    async def ask(self, service: str, operation: str, claims: Claims) -> httpx.Response:
        method, _, template = operation.partition(" ")
        path = "/".join(stand_in(part) if part.startswith("{") else part for part in template.split("/"))
        body = b"{}" if method in {"POST", "PATCH", "PUT"} else b""
        token = self._signer.sign(service, claims, RequestBinding(method, path, str(len(body))))
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json", "x-reason": "matrix"}
        if claims.tenant_id:
            headers["x-tenant-id"] = str(claims.tenant_id)
        return await self._http.request(method, self._addresses[service] + path, content=body, headers=headers)


def stand_in(parameter: str) -> str:
    return "9999" if parameter == "{plan_id}" else str(UUID(int=7))


@pytest.fixture
async def inside(endpoints: JSON) -> AsyncIterator[Inside]:
    if "gateway_key" not in endpoints:
        pytest.skip("needs the gateway's key, which a stack that others started does not tell")
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        yield Inside(endpoints, http)


@pytest.mark.invariant("S61")
@pytest.mark.parametrize("caller", CALLERS)
async def test_every_operation_lets_in_whom_its_row_says_and_nobody_else(inside: Inside, caller: str) -> None:
    wrong: dict[str, Any] = {}
    for row in rows():
        if row.service == GATEWAY:
            continue
        answer = await inside.ask(row.service, row.operation, claims_of(caller))
        kind = answer.headers.get("content-type", "")
        code = answer.json().get("code") if "json" in kind and "ndjson" not in kind else None
        turned_away = REFUSED.get(code or "") == answer.status_code
        broken = answer.status_code >= 500 and code != "organization_being_prepared"
        if broken or row.lets_in(caller) == turned_away:
            wrong[row.operation] = (answer.status_code, code)
    assert wrong == {}
