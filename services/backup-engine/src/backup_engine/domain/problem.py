"""The error that ended a task, as it is stored in the task's row and shown to people."""

from __future__ import annotations

from typing import Any, TypedDict

from common.errors import DomainError

from backup_engine.errors import TaskBroke


class Problem(TypedDict):
    """Stored as JSON: the code for programs, both texts for people, and the error's own fields."""

    code: str
    fr: str
    en: str
    fields: dict[str, Any]


def problem_of(error: BaseException) -> Problem:
    """What happened, in words that may be shown; an error that nobody foresaw shows its type and no more."""
    known = error if isinstance(error, DomainError) else TaskBroke(reason=type(error).__name__)
    fields = {
        name: value if isinstance(value, int | float | bool) else str(value) for name, value in known.fields.items()
    }
    return Problem(code=known.code, fr=known.text("fr"), en=known.text("en"), fields=fields)


def shown(problem: Problem, language: str) -> dict[str, Any]:
    """The problem in the reader's language."""
    return {**problem["fields"], "code": problem["code"], "detail": problem["fr" if language == "fr" else "en"]}
