"""The role matrix as data: `tests/e2e/role_matrix.json` says for each operation who may call it, and in what state of
his organization; from those words this expands what each caller is answered.

A row is written by hand, apart from the code: `who`, and where it is not the usual, `what` he does to an organization.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SERVICES = ("tenancy", "billing", "backup-engine")
GATEWAY = "gateway"
"""Makes links to downloads for whom the service of a download lets in; not asked by whoever plays roles at services."""

ROLES = ("owner", "admin", "member", "viewer")
STAFF = ("staff:admin", "staff:finance", "staff:support")
CALLERS = ("nobody", "person", *ROLES, *STAFF)
"""`nobody` is not signed in; `person` is, and has no active organization; the others have what their name says."""

GROUPS = {
    "public": CALLERS,
    "signed-in": CALLERS[1:],
    "members": ROLES,
    "workers": ("owner", "admin", "member"),
    "managers": ("owner", "admin"),
    "owner": ("owner",),
    "finance": ("staff:admin", "staff:finance"),
    "support": STAFF,
    "desk": ("staff:admin", "staff:support"),
    "platform": ("staff:admin",),
}
"""The first word of a row: whom it lets in."""

STATES = ("active", "leaving", "suspended", "cancelled", "expired", "pending", "deleted")
"""Where an organization may stand. `leaving`: its owner asked for its deletion, and the grace runs; `pending`: it was
bought a moment ago, and the service has not heard of it."""

FEATURES = ("has_api_access",)
"""What a plan may have and an operation may want."""

ACTS = {"anytime", "reading", "restoring", "leaving", "changing"}
"""The second word: `changing` is for organizations in good standing; `reading`, `restoring` and `leaving` go on until
it is deleted (S42); `anytime` asks nothing of an organization, or is how to pay."""

IN_GOOD_STANDING = {"active", "leaving", "pending"}
REFUSED_FOR_ROLE = {"role_required": 403, "no_active_organization": 403, "staff_only": 403}
"""Codes of a refusal for who somebody is, which comes before everything else."""
REFUSED_FOR_STATE = {
    "organization_suspended": 403,
    "organization_being_prepared": 503,
    "organization_deleted": 404,
    "feature_not_in_plan": 403,
}

BODIES = {
    "POST /api/backup-jobs/": {"vm_id": "01980000-0000-7000-8000-00000000ffff"},
    "POST /api/tenants/organizations/{organization_id}/invite_member/": {"email": "somebody@exemple.cm"},
}
"""Bodies of operations that want more than their schema can say."""


@dataclass(frozen=True)
class Row:
    """What is declared about one operation."""

    operation: str
    service: str
    who: str
    act: str
    feature: str | None
    body: Any

    @property
    def method(self) -> str:
        return self.operation.partition(" ")[0]

    @property
    def template(self) -> str:
        return self.operation.partition(" ")[2]

    def lets_in(self, caller: str) -> bool:
        return caller in GROUPS[self.who]

    def refusal(self, state: str, features: frozenset[str]) -> str | None:
        """The code with which somebody whom it lets in is refused for his organization's sake; None: he is not."""
        if self.act == "anytime":
            return None
        if self.service == "backup-engine" and state in {"pending", "deleted"}:
            return "organization_being_prepared" if state == "pending" else "organization_deleted"
        if self.act == "changing" and state not in IN_GOOD_STANDING:
            return "organization_suspended"
        if self.feature is not None and self.feature not in features:
            return "feature_not_in_plan"
        return None


def described() -> Iterator[tuple[str, str, Any]]:
    """Every operation of the committed API documents, with its service and a body that its schema allows."""
    for service in (*SERVICES, GATEWAY):
        document = json.loads((ROOT / "services" / service / "contracts" / "openapi.json").read_text(encoding="utf-8"))
        for path, item in document["paths"].items():
            for method, operation in item.items():
                content = operation.get("requestBody", {}).get("content", {})
                schema = content.get("application/json", {}).get("schema", {})
                yield f"{method.upper()} {path}", service, _allowed(schema, document["components"]["schemas"])


def declared() -> dict[str, str]:
    """The rows as they are written."""
    found: dict[str, str] = json.loads((ROOT / "tests" / "e2e" / "role_matrix.json").read_text(encoding="utf-8"))
    return found


@cache
def rows() -> tuple[Row, ...]:
    """Every operation with what is declared about it.

    Raises:
        KeyError: an operation has no row.
        ValueError: a row says something that is no word of this matrix.
    """
    written = declared()
    return tuple(
        _row(operation, service, written[operation], BODIES.get(operation, body))
        for operation, service, body in described()
    )


def _row(operation: str, service: str, words: str, body: Any) -> Row:
    who, *more = words.split()
    features = [word for word in more if word in FEATURES]
    acts = [word for word in more if word in ACTS]
    if who not in GROUPS or len(acts) > 1 or len(features) > 1 or len(acts) + len(features) != len(more):
        raise ValueError(f"{operation}: {words!r} are no words of the role matrix")
    if not acts:
        of_an_organization = set(GROUPS[who]) <= set(ROLES)
        if of_an_organization and not operation.startswith("GET "):
            raise ValueError(f"{operation}: say what it does to an organization, one of {', '.join(sorted(ACTS))}")
        acts = ["reading" if of_an_organization else "anytime"]
    return Row(operation, service, who, acts[0], features[0] if features else None, body)


def _allowed(schema: dict[str, Any], named: dict[str, Any]) -> Any:
    """The plainest value that a schema allows."""
    if "$ref" in schema:
        return _allowed(named[schema["$ref"].rpartition("/")[2]], named)
    if "anyOf" in schema:
        return _allowed(schema["anyOf"][0], named)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {name: _allowed(schema["properties"][name], named) for name in schema.get("required", ())}
        case "array":
            return [_allowed(schema["items"], named)] * schema.get("minItems", 0)
        case "integer" | "number":
            return int(schema.get("minimum", 1))
        case "boolean":
            return False
        case "string":
            return _text(schema)
    return {}


def _text(schema: dict[str, Any]) -> str:
    formats = {
        "uuid": "01980000-0000-7000-8000-00000000ffff",
        "date": "2026-12-01",
        "date-time": "2026-12-01T00:00:00Z",
        "email": "somebody@exemple.cm",
    }
    if schema.get("pattern", "").startswith("^https?://"):
        return "https://exemple.cm"
    return formats.get(schema.get("format", ""), "exemple.cm".ljust(schema.get("minLength", 0), "x"))
