"""The gateway's contracts: its route table, so that a change of what is let through shows, and what it hears."""

from typing import Any

from common.contracts import asyncapi

from gateway.proxy.revocations import HEARD
from gateway.proxy.routes import ROUTES
from gateway.proxy.scopes import area_of
from gateway.settings import NAME


def documents() -> dict[str, Any]:
    """Every document by its path below `contracts/`."""
    rows = [
        {
            "path": route.path,
            "methods": sorted(route.methods),
            "service": route.service,
            "level": route.level.value,
            "body_bytes": route.body_bytes,
            "idle_seconds": route.idle_seconds,
            "bucket": route.bucket,
            "fresh": route.fresh,
            "area": area_of(route.path),
        }
        for route in ROUTES
    ]
    return {"routes.json": rows, "asyncapi.json": asyncapi(NAME, (), HEARD)}
