"""Finds the row of a path."""

from collections.abc import Iterable

from gateway.proxy.routes import Route


class RouteTable:
    """Finds the row of a path.

    Args:
        routes: rows of the table.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[str, list[Route]] = {}
        self._templates: list[tuple[list[str], Route]] = []
        for route in routes:
            if "{" in route.path:
                self._templates.append((route.path.split("/"), route))
            else:
                self._exact.setdefault(route.path, []).append(route)

    def rows_of(self, path: str) -> list[Route]:
        """All rows of a path, whatever their methods; none when it is not listed."""
        found = self._exact.get(path)
        if found is not None:
            return found
        segments = path.split("/")
        return [route for template, route in self._templates if _matches(template, segments)]


def _matches(template: list[str], segments: list[str]) -> bool:
    return len(template) == len(segments) and all(
        bool(found) if wanted.startswith("{") else wanted == found
        for wanted, found in zip(template, segments, strict=True)
    )
