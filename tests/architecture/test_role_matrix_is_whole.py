"""Every operation has a row in the role matrix, and every row says something.

`tests/e2e/test_role_matrix.py` plays the roles on a running stack, `test_role_matrix_by_state.py` the states.
"""

import pytest
from gateway.proxy.routes import ROUTES, link_of

from tests.architecture.role_matrix import REFUSED_FOR_STATE, Row, declared, described, rows


@pytest.mark.invariant("S61")
def test_every_operation_has_a_row_and_every_row_an_operation() -> None:
    described_operations = [operation for operation, _, _ in described()]
    assert sorted(declared()) == sorted(described_operations), "declare it in tests/e2e/role_matrix.json"
    assert [row.operation for row in rows()] == described_operations


@pytest.mark.invariant("S61", "S79")
def test_a_link_is_for_whom_its_download_is_for() -> None:
    written = {row.operation: row for row in rows()}
    links = [row.link_to for row in ROUTES if row.link_to is not None]
    assert len(links) == 3
    for download in links:
        link, itself = (written[name] for name in (f"POST {link_of(download.path)}", f"GET {download.path}"))
        assert (link.who, link.act, link.feature) == (itself.who, itself.act, itself.feature)


@pytest.mark.invariant("S42")
def test_what_takes_access_away_or_reads_is_open_to_who_has_not_paid() -> None:
    closed = {row.operation for row in rows() if row.refusal("suspended", frozenset({"has_api_access"}))}
    assert not {operation for operation in closed if operation.startswith("GET ")}
    assert not {operation for operation in closed if "/restore/" in operation or operation.endswith("/leave/")}
    assert len(closed) > 20


def test_a_refusal_is_for_the_state_first_and_then_for_the_plan() -> None:
    row = Row("POST /api/tenants/api-keys/", "tenancy", "managers", "changing", "has_api_access", {})
    answered = {row.refusal(state, frozenset()) for state in ("active", "suspended")}
    assert answered == {"feature_not_in_plan", "organization_suspended"}
    assert answered <= set(REFUSED_FOR_STATE)
    assert row.refusal("active", frozenset({"has_api_access"})) is None
