"""Errors as facts: one class per fact, one *kind* per class; the edges translate the kind.

DomainError
├── Invalid 422 · Unauthenticated 401 · Forbidden 403 · NotFound 404 · Conflict 409
├── Gone 410 · TooLarge 413 · Unsupported 415 · TooMany 429 · Unavailable 503
└── NotYet 503: a predecessor has not arrived; an event handler is asked again for up to 24 h
"""

from collections.abc import Mapping
from datetime import timedelta
from enum import Enum
from typing import ClassVar


class Kind(Enum):
    """What sort of refusal an error is; the value is the HTTP status (RFC 9110 §15)."""

    INVALID = 422
    UNAUTHENTICATED = 401
    FORBIDDEN = 403
    NOT_FOUND = 404
    CONFLICT = 409
    GONE = 410
    TOO_LARGE = 413
    UNSUPPORTED = 415
    TOO_MANY = 429
    UNAVAILABLE = 503


class DomainError(Exception):
    """A fact that stops an act.

    A subclass sets ``code`` (stable, for programs) and the texts ``en`` and ``fr`` (for people), which may
    name the keyword fields given to the constructor. The fields are part of the answer, so they hold
    nothing secret. Where a field has a word for programs, ``words`` says what people read in its place.
    """

    kind: ClassVar[Kind]
    code: ClassVar[str]
    en: ClassVar[str]
    fr: ClassVar[str]
    words: ClassVar[Mapping[str, Mapping[str, tuple[str, str]]]] = {}
    """By field and value: English, French."""

    def __init__(self, *, retry_after: timedelta | None = None, **fields: object) -> None:
        self.fields = fields
        self.retry_after = retry_after
        super().__init__(self.text("en"))

    def text(self, language: str) -> str:
        """Return the sentence for people, in ``fr`` or ``en``."""
        is_french = language == "fr"
        said = {
            name: self.words[name][str(value)][is_french] if str(value) in self.words.get(name, {}) else value
            for name, value in self.fields.items()
        }
        return (self.fr if is_french else self.en).format(**said)


class Invalid(DomainError):
    kind = Kind.INVALID


class Unauthenticated(DomainError):
    kind = Kind.UNAUTHENTICATED


class Forbidden(DomainError):
    kind = Kind.FORBIDDEN


class NotFound(DomainError):
    kind = Kind.NOT_FOUND


class Conflict(DomainError):
    kind = Kind.CONFLICT


class Gone(DomainError):
    kind = Kind.GONE


class TooLarge(DomainError):
    kind = Kind.TOO_LARGE


class Unsupported(DomainError):
    kind = Kind.UNSUPPORTED


class TooMany(DomainError):
    kind = Kind.TOO_MANY


class Unavailable(DomainError):
    kind = Kind.UNAVAILABLE


class NotYet(Unavailable):
    """A predecessor of an event is missing: no error, only too early."""

    code = "not_yet"
    en = "A predecessor of this event has not arrived yet."
    fr = "Un événement antérieur n'est pas encore arrivé."
