"""Roles within an organization and of the platform's staff, and who may grant which.

Not here: which endpoint wants which role (the routes say so with `requires`).
"""

from collections.abc import Iterable
from enum import StrEnum


class Role(StrEnum):
    """What a member may do in one organization; the order is from most to least."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


class StaffRole(StrEnum):
    """What a person of the platform may do across organizations."""

    ADMIN = "admin"
    SUPPORT = "support"
    FINANCE = "finance"


def may_grant(granter: Role, wanted: Role) -> bool:
    """Owners grant every role, admins every role but owner, nobody else grants any."""
    if granter is Role.OWNER:
        return True
    return granter is Role.ADMIN and wanted is not Role.OWNER


def highest(roles: Iterable[str]) -> Role:
    """The role that allows most of those that a token names."""
    named = frozenset(roles)
    return next(role for role in Role if role.value in named)


def is_above(role: Role, other: Role) -> bool:
    """Whether a role allows more than another."""
    order = list(Role)
    return order.index(role) < order.index(other)


def may_change(changer: Role, current: Role) -> bool:
    """Who may change or end a membership of this role: owners all, admins all but owners', nobody else any."""
    return may_grant(changer, current)
