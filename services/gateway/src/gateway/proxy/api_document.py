"""One OpenAPI 3.1 document for all services: what the route table lets through, as the services describe it."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from gateway.errors import ServiceUnavailable
from gateway.proxy.own_document import own_document
from gateway.proxy.route_table import RouteTable
from gateway.proxy.routes import OWN, Level

log = logging.getLogger(__name__)

FRESH_SECONDS = 60.0
"""How long a service's document is used without asking again."""

METHODS = ("get", "put", "post", "delete", "patch")
BEARER = "bearer"

Fetch = Callable[[str], Awaitable[Mapping[str, Any] | None]]


class ApiDocument:
    """Fetches and merges the services' documents.

    Args:
        services: their names.
        fetch: gets a service's OpenAPI document.
        table: operations that it does not let through are left out.
        public_url: address of the API.
    """

    def __init__(self, services: Iterable[str], fetch: Fetch, table: RouteTable, public_url: str) -> None:
        self._services = tuple(services)
        self._fetch = fetch
        self._table = table
        self._public_url = public_url
        self._documents: dict[str, Mapping[str, Any]] = {}
        self._asked_at = float("-inf")
        self._one_at_a_time = asyncio.Lock()

    async def merged(self) -> dict[str, Any]:
        """The merged document; a service that does not answer is described as it was last, if ever."""
        async with self._one_at_a_time:
            complete = len(self._documents) == len(self._services)
            if not complete or time.monotonic() - self._asked_at > FRESH_SECONDS:
                await asyncio.gather(*map(self._renew, self._services))
                self._asked_at = time.monotonic()
        return merge({**self._documents, OWN: own_document()}, self._table, self._public_url)

    async def _renew(self, service: str) -> None:
        try:
            document = await self._fetch(service)
        except ServiceUnavailable:
            log.warning("no API document of %s", service)
            return
        if document is not None:
            self._documents[service] = document


def merge(documents: Mapping[str, Mapping[str, Any]], table: RouteTable, public_url: str) -> dict[str, Any]:
    """Merge documents of services; components get the service's name in front, so that none hides another."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for service in sorted(documents):
        document = documents[service]
        for path, item in document.get("paths", {}).items():
            kept = {
                method: _operation(service, method, item[method], level)
                for method in METHODS
                if method in item and (level := _level(table, path, method, service)) is not None
            }
            if kept:
                paths.setdefault(path, {}).update(kept)
        for name, schema in document.get("components", {}).get("schemas", {}).items():
            schemas[f"{service}.{name}"] = _renamed(schema, service)
    return {
        "openapi": "3.1.0",
        "info": {"title": "ESXi Backup Manager", "version": "1"},
        "servers": [{"url": public_url}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": schemas,
            "securitySchemes": {BEARER: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _level(table: RouteTable, path: str, method: str, service: str) -> Level | None:
    for route in table.rows_of(path):
        if method.upper() in route.methods and route.service == service:
            return route.level
    return None


def _operation(service: str, method: str, operation: Mapping[str, Any], level: Level) -> dict[str, Any]:
    described: dict[str, Any] = _renamed(dict(operation), service)
    if "operationId" in described:
        described["operationId"] = f"{service}_{described['operationId']}_{method}"
    described["security"] = [] if level is Level.PUBLIC else [{BEARER: []}]
    return described


def _renamed(node: Any, service: str) -> Any:
    if isinstance(node, dict):
        return {
            key: _reference(value, service) if key == "$ref" else _renamed(value, service)
            for key, value in node.items()
        }
    return [_renamed(item, service) for item in node] if isinstance(node, list) else node


def _reference(value: Any, service: str) -> Any:
    prefix = "#/components/schemas/"
    if isinstance(value, str) and value.startswith(prefix):
        return f"{prefix}{service}.{value.removeprefix(prefix)}"
    return _renamed(value, service)
