"""A gateway with real HTTP services behind it, all on free ports of this machine."""

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from common.messaging.in_process import InProcessBroker
from common.telemetry import logs
from common.testing import test_keys, test_verifier
from common.web import HttpPart
from gateway.bootstrap import build
from gateway.settings import Settings
from gateway.testing import TenancyStandIn, Upstream
from pydantic import SecretStr


@dataclass
class Stack:
    """The running gateway and what is behind it."""

    port: int
    client: httpx.AsyncClient
    tenancy: TenancyStandIn
    billing: Upstream
    engine: Upstream
    settings: Settings
    broker: InProcessBroker


@pytest.fixture
def log_lines(monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """What the service's own logging writes, at the most talkative level."""
    root, stream = logging.getLogger(), io.StringIO()
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    monkeypatch.setattr(root, "level", root.level)
    logs.configure("gateway", "DEBUG", stream=stream)
    return stream.getvalue


@pytest.fixture
def overrides(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings of the gateway under test; `@pytest.mark.parametrize("overrides", …, indirect=True)` sets some."""
    return getattr(request, "param", {})


@pytest.fixture
def upstream_class() -> type[Upstream]:
    """What stands behind the gateway; a module of tests may put another in its place."""
    return Upstream


@pytest.fixture
async def stack(overrides: dict[str, Any], upstream_class: type[Upstream]) -> AsyncIterator[Stack]:
    tenancy = TenancyStandIn(upstream_class("tenancy", test_verifier("tenancy")))
    billing = upstream_class("billing", test_verifier("billing"))
    engine = upstream_class("backup-engine", test_verifier("backup-engine"))
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as running:

        async def serve(part: HttpPart) -> str:
            ready = asyncio.Event()
            running.create_task(part.run(stop, ready.set))
            async with asyncio.timeout(10):
                await ready.wait()
            return part.url

        behind = [await serve(HttpPart("api", s.app(), "127.0.0.1", 0)) for s in (tenancy, billing, engine)]
        settings = Settings(
            **{
                "environment": "test",
                "signing_key": SecretStr(json.dumps(test_keys()[0])),
                **dict(zip(("tenancy_url", "billing_url", "backup_engine_url"), behind, strict=True)),
                "idle_seconds": 5.0,
            }
            | overrides
        )
        broker = InProcessBroker()
        service = await build(settings, broker)
        url = await serve(service.parts["api"])
        async with httpx.AsyncClient(base_url=url) as client:
            yield Stack(service.parts["api"].port, client, tenancy, billing, engine, settings, broker)
        await service.close()
        for upstream in (tenancy.upstream, billing, engine):
            upstream.release.set()
        stop.set()
