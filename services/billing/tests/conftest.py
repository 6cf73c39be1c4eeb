"""Billing's tests: a database per test process, simulators of the providers over real HTTP, a front that stands for
the gateway's webhook routes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from billing.bootstrap import PACKAGE_FOLDER, SYSTEM_ROLES
from billing.testing import Billing, settings_for
from common.testing import ServiceDatabase, service_database
from simulators import server
from simulators.mtn_momo import MoMoConfig
from simulators.mtn_momo import start as start_momo
from simulators.paypal import PayPalConfig
from simulators.paypal import start as start_paypal
from simulators.paypal.certificates import make_signer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

PUBLIC = "https://backup.example"


@pytest.fixture(scope="session")
def database(postgres_url: str) -> Iterator[ServiceDatabase]:
    yield from service_database(postgres_url, "billing", PACKAGE_FOLDER, SYSTEM_ROLES)


@dataclass
class World:
    """Billing between its two simulated providers."""

    billing: Billing
    momo: Any
    paypal: Any
    http: httpx.AsyncClient

    async def decide(self, reference: str, status: str, reason: str | None = None) -> None:
        """Let a payer at MTN decide."""
        body = {"reference": reference, "status": status} | ({"reason": reason} if reason else {})
        answer = await self.http.post(f"{self.momo.url}/_sim/decide", json=body)
        assert answer.status_code < 300, answer.text

    async def approve(self, redirect_url: str, decision: str = "approve") -> httpx.Response:
        """Let a payer at PayPal decide."""
        return await self.http.post(redirect_url, data={"decision": decision})

    async def faults(self, provider: Any, *rules: dict[str, Any]) -> None:
        answer = await self.http.put(f"{provider.url}/_sim/faults", json={"rules": list(rules)})
        assert answer.status_code == 200, answer.text

    async def requests(self, provider: Any, path: str) -> list[dict[str, Any]]:
        answer = await self.http.get(f"{provider.url}/_sim/requests", params={"path": path})
        return list(answer.json()["results"])


def _front(forward: list[Any]) -> Starlette:
    """What the gateway does with webhooks: it passes them on, byte for byte, with a token of its own."""

    async def handle(request: Request) -> Response:
        headers = {
            name: value for name, value in request.headers.items() if name.startswith(("paypal-", "content-type"))
        }
        answer = await forward[0].request(
            request.method, request.url.path, content=await request.body(), headers=headers
        )
        return Response(answer.content, answer.status_code)

    return Starlette(routes=[Route("/webhooks/{rest:path}", handle, methods=["POST", "PUT"])])


@pytest.fixture(scope="session")
def paypal_signer() -> Any:
    """PayPal's certificate authority: its keys take longer to make than a test takes."""
    return make_signer()


@pytest.fixture
def momo_config() -> dict[str, Any]:
    return {"approval_delay": 0.05}


@pytest.fixture
def billing_settings() -> dict[str, Any]:
    return {}


@pytest.fixture
async def world(
    database: ServiceDatabase,
    tmp_path: Path,
    paypal_signer: Any,
    momo_config: dict[str, Any],
    billing_settings: dict[str, Any],
) -> AsyncIterator[World]:
    async with between_providers(database, tmp_path, paypal_signer, momo_config, **billing_settings) as found:
        yield found


@asynccontextmanager
async def between_providers(
    database: ServiceDatabase, folder: Path, paypal_signer: Any, momo_config: dict[str, Any], **billing_settings: Any
) -> AsyncIterator[World]:
    """Yield a billing between simulators of its own, which know nothing yet."""
    forward: list[Any] = []
    front = await server.serve(_front(forward), "127.0.0.1", 0)
    mapped = {PUBLIC: front.url}
    momo = await start_momo(MoMoConfig(url_map=mapped, **momo_config))
    paypal = await start_paypal(
        PayPalConfig(
            webhook_id="SIMWEBHOOK0001",
            webhook_url=f"{PUBLIC}/webhooks/paypal/",
            url_map=mapped,
            signer=paypal_signer,
        )
    )
    http = httpx.AsyncClient(timeout=10)
    settings = settings_for(
        database,
        folder / "receipts",
        paypal_base_url=paypal.url,
        mtn_momo_base_url=momo.url,
        mtn_momo_environment="sandbox" if momo_config.get("environment") == "sandbox" else "production",
        **billing_settings,
    )
    billing = Billing(database, settings, http)
    forward.append(billing.client(anonymous=True))
    await billing.seed()
    yield World(billing, momo, paypal, http)
    await asyncio.gather(paypal.stop(), momo.stop(), front.stop())
    await http.aclose()
    await billing.close()


@pytest.fixture
def billing(world: World) -> Billing:
    return world.billing
