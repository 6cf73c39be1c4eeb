"""Refusals are read by people: in French no word for programs is left where one for people exists."""

import inspect

import pytest
from common.errors import DomainError
from tenancy import errors

pytestmark = pytest.mark.unit

WITH_WORDS = [one for _, one in inspect.getmembers(errors, inspect.isclass) if getattr(one, "words", None)]
FILLING = {"limit": 3, "current": 3, "ports": "443", "status": "suspended"}


def refusals(kind: type[DomainError]) -> list[tuple[str, DomainError]]:
    ((field, words),) = kind.words.items()
    return [(word, kind(**(FILLING | {field: word}))) for word in words]


@pytest.mark.parametrize("kind", WITH_WORDS, ids=lambda kind: kind.__name__)
def test_a_refusal_is_in_the_readers_words_and_keeps_those_for_programs_in_its_fields(kind: type[DomainError]) -> None:
    for word, refusal in refusals(kind):
        ((field, words),) = kind.words.items()
        english, french = words[word]
        assert refusal.fields[field] == word
        assert english in refusal.text("en")
        assert french in refusal.text("fr")
        assert "_" not in refusal.text("fr")


def test_a_word_that_is_new_is_said_as_it_is() -> None:
    assert "auditor" in errors.RoleNotGrantable(role="auditor").text("fr")


def test_there_are_refusals_with_words() -> None:
    assert len(WITH_WORDS) > 5
