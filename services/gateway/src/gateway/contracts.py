"""The gateway's contracts: its routes, so that a change of what is let through shows; what it hears; its settings."""

from typing import Any

from common.contracts import asyncapi, settings_page

from gateway.proxy.own_document import own_document
from gateway.proxy.revocations import HEARD
from gateway.proxy.routes import ROUTES
from gateway.proxy.scopes import area_of
from gateway.settings import NAME, Settings


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
            "by_link": route.by_link,
        }
        for route in ROUTES
    ]
    return {
        "routes.json": rows,
        "openapi.json": own_document(),
        "asyncapi.json": asyncapi(NAME, (), HEARD),
        "settings.md": settings_page(NAME, Settings),
    }
