"""Which scopes of API keys open a route. What is below none of these is for persons alone."""

from functools import cache

AREAS = {
    "/api/tenants/organizations/{organization_id}/": "organization",
    "/api/tenants/orders/": "billing",
    "/api/tenants/payments/": "billing",
    "/api/tenants/invoices/": "billing",
    "/api/tenants/subscription/": "billing",
    "/api/esxi-servers/": "infrastructure",
    "/api/virtual-machines/": "infrastructure",
    "/api/datastores/": "infrastructure",
    "/api/backup-configs/": "backups",
    "/api/backup-jobs/": "backups",
    "/api/backup-chains/": "backups",
    "/api/restore-points/": "backups",
    "/api/restore/": "restores",
}
"""Areas of scopes, by the beginning of a route's path."""

READ_ONLY = frozenset({"organization", "billing"})
"""Areas in which no key writes: who joins and what is bought is a person's decision."""


@cache
def area_of(path: str) -> str | None:
    """The area that a route's path belongs to."""
    return next((area for start, area in AREAS.items() if path.startswith(start)), None)


def scopes_of(path: str, method: str) -> frozenset[str]:
    """Scopes that open a route, each by itself; to write is to read as well. None where only a person may."""
    area = area_of(path)
    if area is None:
        return frozenset()
    write = frozenset() if area in READ_ONLY else frozenset({f"{area}:write"})
    return write | {f"{area}:read"} if method in {"GET", "HEAD"} else write
