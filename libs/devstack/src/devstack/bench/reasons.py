"""Reasons why purchases went wrong, told by their kinds: each with its count and one example, and none left out."""

import re
from collections.abc import Iterable

_VARYING = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE), "<id>"),
    (re.compile(r"\b[0-9a-f]{16,}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\b[\w-]+@[\w.-]+"), "<address>"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT[\d:.]+(Z|\+[\d:]+)?"), "<time>"),
    (re.compile(r"\d+ ×"), "n ×"),
)
"""What differs from one purchase to the next, and what is said in its place."""
_LONGEST = 160
"""Of the name of a kind."""


def grouped(reasons: Iterable[str]) -> list[tuple[int, str, str]]:
    """Return each kind of reason, the commonest first: how often, what it is, and the first of them as it was."""
    kinds: dict[str, list[str]] = {}
    for reason in reasons:
        kinds.setdefault(kind_of(reason), []).append(reason)
    return sorted(((len(found), kind, found[0]) for kind, found in kinds.items()), reverse=True)


def kind_of(reason: str) -> str:
    """Return a reason without what is only one purchase's."""
    for varying, instead in _VARYING:
        reason = varying.sub(instead, reason)
    return reason[:_LONGEST]


def counted(reasons: Iterable[str]) -> str:
    """Return all kinds with their counts in a line; nothing where there is no reason."""
    return ", ".join(f"{count} × {kind}" for count, kind, _example in grouped(reasons))
