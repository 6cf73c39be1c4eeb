"""Finds the row of a path."""

from collections.abc import Iterable
from typing import Any

from gateway.proxy.routes import Route

ANY, ROWS = "/any", "/rows"
"""Keys beside a node's literal segments, which have no slash: where any segment leads, and the rows that end there."""


class RouteTable:
    """Finds the row of a path.

    Args:
        routes: rows of the table.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[str, list[Route]] = {}
        self._templates: dict[str, Any] = {}
        for route in routes:
            if "{" not in route.path:
                self._exact.setdefault(route.path, []).append(route)
                continue
            node = self._templates
            for segment in route.path.split("/"):
                node = node.setdefault(ANY if segment.startswith("{") else segment, {})
            node.setdefault(ROWS, []).append(route)

    def rows_of(self, path: str) -> list[Route]:
        """All rows of a path, whatever their methods; none when it is not listed."""
        found = self._exact.get(path)
        if found is not None:
            return found
        nodes = [self._templates]
        for segment in path.split("/"):
            edges = (segment, ANY) if segment else (segment,)
            nodes = [node[edge] for node in nodes for edge in edges if edge in node]
        return [row for node in nodes for row in node.get(ROWS, ())]
