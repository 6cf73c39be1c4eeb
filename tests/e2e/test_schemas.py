"""Whatever the API documents allow or forbid is answered below 500: schemathesis, at each service and at the gateway.

It makes requests that fit an operation's schema and requests that just miss it. They are sent as a customer of their
own who is the owner of an organization, and at the services as somebody who is of the staff besides.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import schemathesis
from common.auth.internal_token import Claims, InternalTokenSigner, RequestBinding
from devstack.customer import JSON, claims_of
from devstack.premises import House, bought
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(1200),
    pytest.mark.parametrize("endpoints", ["one_process_small_vault"], indirect=True),
]

SERVICES = ("tenancy", "billing", "backup-engine")
CONTRACTS = Path(__file__).parents[2] / "services"
LEFT_OUT = {"PATCH /api/admin/plans/{plan_id}/"}
"""Would change what other tests of this stack buy."""

NOT_READY = "organization_being_prepared"
EXAMPLES = [1, pytest.param(40, marks=pytest.mark.long)]
"""How many requests of each kind every operation gets."""

Send = Callable[[httpx.Request], httpx.Response]


@pytest.fixture(scope="module")
def customer(endpoints: JSON) -> House:
    """A customer of this module's own, whose organization nobody else looks at."""
    return asyncio.run(bought(endpoints["gateway"], "Entreprise Troisième"))


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=60) as client:
        yield client


def document(service: str) -> Any:
    return json.loads((CONTRACTS / service / "contracts" / "openapi.json").read_text(encoding="utf-8"))


def request_of(case: Any, base_url: str, http: httpx.Client) -> httpx.Request | None:
    """The request of a case; None where no client can put it on the wire."""
    told = case.as_transport_kwargs(base_url=base_url)
    body = told.pop("data", None)
    headers = {name: value for name, value in told.pop("headers").items() if name.lower() != "connection"}
    told.pop("cookies", None)
    if files := told.pop("files", None):
        told["files"] = [(name, _on_the_wire(part)) for name, part in files]
    content = {"content": body} if isinstance(body, bytes | str) else {"data": body}
    try:
        return http.build_request(**told, headers=headers, **content)
    except (UnicodeError, httpx.InvalidURL, ValueError):
        return None


def _on_the_wire(part: Any) -> Any:
    """A part of a form as a client sends it: a number where a file is wanted goes as its digits."""
    if isinstance(part, tuple):
        name, content, *rest = part
        return (name, _on_the_wire(content), *rest)
    return part if isinstance(part, bytes | str) else json.dumps(part)


def played(strategy: Any, examples: int, ask: Callable[[Any], None]) -> None:
    """Ask so many cases; where none can be made, none are asked."""

    @settings(
        max_examples=examples,
        database=None,
        derandomize=examples < 10,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(strategy)
    def play(case: Any) -> None:
        ask(case)

    with suppress(schemathesis.errors.SchemathesisError, Unsatisfiable):
        play()


def broken_by(described: JSON, base_url: str, examples: int, http: httpx.Client, send: Send) -> list[Any]:
    """What is answered with 500 or more, and to which request."""
    found: list[Any] = []
    asked: list[int] = []

    def ask(case: Any) -> None:
        request = request_of(case, base_url, http)
        if request is None:
            return
        answer = send(request)
        asked.append(answer.status_code)
        if answer.status_code >= 500 and answer.json().get("code") != NOT_READY:
            found.append((case.operation.label, answer.status_code, answer.text[:300], str(request.url)))

    for result in schemathesis.openapi.from_dict(described).get_all_operations():
        operation = result.ok()
        if operation.label not in LEFT_OUT:
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                played(operation.as_strategy(generation_mode=mode), examples, ask)
    assert len(asked) > 10 * examples
    return found


@pytest.mark.parametrize("examples", EXAMPLES)
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_breaks_on_no_input(
    endpoints: JSON, customer: House, http: httpx.Client, service: str, examples: int
) -> None:
    if "gateway_key" not in endpoints:
        pytest.skip("needs the gateway's key, which a stack that others started does not tell")
    signer, about = InternalTokenSigner(endpoints["gateway_key"]), claims_of(customer.token)
    staff = frozenset({"admin", "finance", "support"})
    claims = Claims(
        UUID(about["sub"]), UUID(about["tenant"]), frozenset({"owner"}), staff, UUID(about["sid"]), "schema-test"
    )

    def send(request: httpx.Request) -> httpx.Response:
        request.read()
        length = request.headers.get("content-length", "0")
        binding = RequestBinding(request.method, request.url.raw_path.decode("ascii"), length)
        request.headers["authorization"] = f"Bearer {signer.sign(service, claims, binding)}"
        request.headers["x-tenant-id"] = about["tenant"]
        request.headers["x-reason"] = "schema"
        return http.send(request)

    assert broken_by(document(service), endpoints["services"][service], examples, http, send) == []


@pytest.mark.parametrize("examples", EXAMPLES)
def test_the_gateway_breaks_on_no_input(endpoints: JSON, customer: House, http: httpx.Client, examples: int) -> None:
    described = httpx.get(endpoints["gateway"] + "/openapi.json", trust_env=False, timeout=60).json()
    for path in [path for path in described["paths"] if "logout" in path]:
        del described["paths"][path]

    def send(request: httpx.Request) -> httpx.Response:
        request.headers["authorization"] = f"Bearer {customer.token}"
        return http.send(request)

    assert broken_by(described, endpoints["gateway"], examples, http, send) == []
