"""The gateway's own pages, with services behind it that describe themselves or are down."""

import json
from pathlib import Path

import pytest
from gateway.testing import Upstream
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

pytestmark = pytest.mark.integration
SERVICES = Path(__file__).parents[3]


class Described(Upstream):
    """A service that answers with its committed document."""

    def app(self, *more: Route):
        async def document(_request: Request) -> Response:
            path = SERVICES / self.name / "contracts" / "openapi.json"
            return JSONResponse(json.loads(path.read_text(encoding="utf-8")))

        return super().app(Route("/openapi.json", document), *more)


@pytest.fixture
def upstream_class() -> type[Upstream]:
    return Described


async def test_the_merged_document_and_its_page_are_public(stack) -> None:
    document = (await stack.client.get("/openapi.json")).json()
    assert {"/api/auth/login/", "/api/tenants/orders/", "/api/backup-jobs/"} <= document["paths"].keys()
    page = await stack.client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "/api/backup-jobs/" in page.text


@pytest.mark.parametrize("overrides", [{"billing_url": "http://127.0.0.1:9"}], indirect=True)
async def test_a_service_that_is_down_is_left_out_of_the_document(stack) -> None:
    paths = (await stack.client.get("/openapi.json")).json()["paths"]
    assert "/api/backup-jobs/" in paths
    assert "/api/tenants/orders/" not in paths


async def test_pages_are_read_only(stack) -> None:
    assert (await stack.client.post("/openapi.json")).status_code == 404
    assert (await stack.client.get("/healthz/")).status_code == 404
