"""The role matrix in every state of an organization and with and without a feature of its plan.

Each service is one application in this process on its own database. Its organizations are brought into each state by
what the service is told, then asked every operation by each role, as the gateway would ask.
"""

import json
from typing import Any

import pytest

from tests.architecture.houses import House, path_of
from tests.architecture.role_matrix import (
    FEATURES,
    GROUPS,
    REFUSED_FOR_ROLE,
    REFUSED_FOR_STATE,
    ROLES,
    STATES,
    Row,
    rows,
)

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

EVERYTHING = frozenset(FEATURES)
PAIRS = [(state, role, EVERYTHING if (s + r) % 2 else frozenset[str]()) for s, state in enumerate(STATES)
         for r, role in enumerate(ROLES)]  # fmt: skip
"""Every state with every role, and each of both with and without the features."""
PRODUCT = [(state, role, features) for state in STATES for role in ROLES for features in (EVERYTHING, frozenset[str]())]
LEFT = [combination for combination in PRODUCT if combination not in PAIRS]


async def play(house: House, service: str, state: str, role: str, features: frozenset[str]) -> dict[str, Any]:
    """Ask every operation that is about an organization; return those that answer otherwise than declared."""
    tenant, person = await house.organization(state, role, features)
    wrong: dict[str, Any] = {}
    async with house.client(user_id=person, tenant_id=tenant, roles=[role]) as client:
        for row in asked(service):
            body = None if row.body is None else json.dumps(row.body).encode()
            headers = {"content-type": "application/json"} if body else {}
            answer = await client.request(row.method, path_of(row, tenant), content=body, headers=headers)
            code = answer.json()["code"] if answer.status_code >= 400 else None
            refusals = REFUSED_FOR_ROLE | REFUSED_FOR_STATE
            refused = code if refusals.get(code) == answer.status_code else None
            expected = row.refusal(state, features) if row.lets_in(role) else "role_required"
            broken = answer.status_code >= 500 and refused is None
            unread = answer.status_code == 422 and code == "invalid_request" and row.act != "anytime"
            if refused != expected or broken or unread:
                wrong[row.operation] = f"{answer.status_code} {code}, and not {expected}"
    return wrong


def asked(service: str) -> list[Row]:
    """The operations of a service that are about an organization, what ends its member's access last."""
    about = [row for row in rows() if row.service == service and set(GROUPS[row.who]) <= set(ROLES)]
    return sorted(about, key=lambda row: row.template.endswith("/leave/"))


@pytest.mark.invariant("S42", "S61")
@pytest.mark.parametrize("state", STATES)
async def test_each_role_may_do_in_each_state_what_its_row_says(
    house: House, request: pytest.FixtureRequest, state: str
) -> None:
    service = request.node.callspec.params["house"]
    wrong = [await play(house, service, *combination) for combination in PAIRS if combination[0] == state]
    assert wrong == [{}] * len(ROLES)


@pytest.mark.long
@pytest.mark.invariant("S42", "S61")
@pytest.mark.parametrize("state", STATES)
async def test_every_role_in_every_state_on_every_plan_is_answered_as_its_row_says(
    house: House, request: pytest.FixtureRequest, state: str
) -> None:
    service = request.node.callspec.params["house"]
    wrong = [await play(house, service, *combination) for combination in LEFT if combination[0] == state]
    assert wrong == [{}] * len(ROLES)
