"""The gateway's contract: its route table, so that a change of what is let through shows in a review."""

from typing import Any

from gateway.proxy.routes import ROUTES


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
        }
        for route in ROUTES
    ]
    return {"routes.json": rows}
