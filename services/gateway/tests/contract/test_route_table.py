"""The route table and the services' documents speak of the same operations."""

import json
from pathlib import Path

import pytest
from gateway.proxy.api_document import merge
from gateway.proxy.api_page import render
from gateway.proxy.route_table import RouteTable
from gateway.proxy.routes import OWN, ROUTES, SERVICES, Level
from openapi_spec_validator import validate

pytestmark = pytest.mark.contract
SERVICES_FOLDER = Path(__file__).parents[3]
TABLE = RouteTable(ROUTES)
DESCRIBED = {
    name: json.loads((SERVICES_FOLDER / name / "contracts" / "openapi.json").read_text(encoding="utf-8"))
    for name in (*SERVICES, OWN)
}
OPERATIONS = [
    pytest.param(name, path, method, operation, id=f"{method.upper()} {path}")
    for name, document in DESCRIBED.items()
    for path, item in document["paths"].items()
    for method, operation in item.items()
]
PUBLIC = {
    "POST /api/auth/register/", "POST /api/auth/login/", "POST /api/auth/refresh/", "POST /api/auth/verify-email/",
    "POST /api/auth/sso/", "POST /api/auth/sso/callback/", "POST /api/auth/passkeys/login/options/", "POST /api/auth/passkeys/login/",
    "POST /api/auth/login/second-factor/", "POST /api/auth/verify-email/resend/", "POST /api/auth/password-reset/",
    "POST /api/auth/password-reset/confirm/", "POST /api/auth/email/confirm/",
    "GET /.well-known/jwks.json", "GET /api/tenants/plans/", "GET /api/tenants/plans/{plan_id}/",
    "GET /api/tenants/plans/{plan_id}/features/", "GET /api/tenants/payment-methods/", "POST /webhooks/paypal/",
    "POST /webhooks/mtn-momo/{token}", "PUT /webhooks/mtn-momo/{token}",
    "GET /api/downloads/{token}",
}  # fmt: skip
"""Every operation that needs no token. A new one is a decision, so it is written down twice."""


@pytest.mark.invariant("S65")
@pytest.mark.parametrize(("service", "path", "method", "operation"), OPERATIONS)
def test_every_operation_of_a_service_is_let_through_to_whom_it_is_for(service, path, method, operation) -> None:
    rows = [row for row in TABLE.rows_of(path) if method.upper() in row.methods]
    assert [row.service for row in rows] == [service], "gateway/proxy/routes.py must have exactly one row for it"
    assert (rows[0].level is Level.PUBLIC) == (operation["x-access"]["level"] == "public")


@pytest.mark.invariant("S65")
def test_the_public_routes_are_exactly_those_that_were_decided() -> None:
    found = {f"{method} {row.path}" for row in ROUTES if row.level is Level.PUBLIC for method in row.methods}
    assert found == PUBLIC


@pytest.mark.invariant("S65")
def test_no_row_leads_to_an_internal_path_and_rows_do_not_overlap() -> None:
    assert not [row.path for row in ROUTES if "internal" in row.path]
    assert TABLE.rows_of("/internal/sessions/x") == []
    for row in ROUTES:
        assert [r for r in TABLE.rows_of(row.path) if r.methods & row.methods] == [row]


@pytest.mark.invariant("S65")
def test_every_row_is_an_operation_of_its_service() -> None:
    webhooks = {("PUT", "/webhooks/mtn-momo/{token}")}
    described = {
        (name, method.upper(), path)
        for name, document in DESCRIBED.items()
        for path, item in document["paths"].items()
        for method in item
    }
    rows = {(row.service, method, row.path) for row in ROUTES for method in row.methods}
    assert {
        (service, method, path) for service, method, path in rows - described if (method, path) not in webhooks
    } == set()


def test_the_merged_document_is_valid_and_has_every_operation() -> None:
    merged = merge(DESCRIBED, TABLE, "https://backup.example")
    validate(merged)
    assert merged["openapi"].startswith("3.1")
    assert sum(len(item) for item in merged["paths"].values()) == len(OPERATIONS)
    assert merged["paths"]["/api/tenants/plans/"]["get"]["security"] == []
    assert merged["paths"]["/api/auth/user/"]["get"]["security"] == [{"bearer": []}]
    ids = [operation["operationId"] for item in merged["paths"].values() for operation in item.values()]
    assert len(ids) == len(set(ids))


def test_an_operation_that_the_table_does_not_let_through_is_not_described() -> None:
    hidden = {"paths": {"/internal/sessions/{id}": {"get": {"responses": {}}}, "/api/tenants/plans/": {"get": {}}}}
    merged = merge({"tenancy": hidden, "billing": hidden}, TABLE, "https://backup.example")
    assert list(merged["paths"]) == ["/api/tenants/plans/"]


def test_the_page_shows_every_path_and_loads_nothing_from_elsewhere() -> None:
    page = render(merge(DESCRIBED, TABLE, "https://backup.example"))
    assert all(f"<code>{path}</code>" in page for document in DESCRIBED.values() for path in document["paths"])
    assert "<script" not in page
    assert "src=" not in page
    assert "http://" not in page
