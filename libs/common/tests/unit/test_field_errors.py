"""Field errors in French: each kind that our schemas can cause has a sentence, with its figures in it."""

import string
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from common.web.field_errors import FRENCH, OTHERWISE, field_message
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from pydantic_core._pydantic_core import list_all_errors

pytestmark = pytest.mark.unit


class Booking(BaseModel):
    model_config = ConfigDict(extra="forbid")
    nights: Annotated[int, Field(ge=1, le=30, strict=True)] = 1
    name: Annotated[str, Field(min_length=2, max_length=5, pattern="^[a-z]+$")] = "ab"
    room: UUID | None = None
    board: Literal["full", "half"] = "full"
    at: AwareDatetime | None = None
    guests: Annotated[list[str], Field(max_length=1)] = []


def errors(given: Any) -> list[ErrorDetails]:
    with pytest.raises(ValidationError) as wrong:
        Booking.model_validate(given)
    return wrong.value.errors()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"nights": True}, "Un nombre entier est attendu."),
        ({"nights": 31}, "Doit être inférieur ou égal à 30."),
        ({"name": "abcdef"}, "Au plus 5 caractères."),
        ({"name": "AB"}, "N'a pas la forme attendue (^[a-z]+$)."),
        ({"room": "x"}, "Un identifiant (UUID) est attendu."),
        ({"board": "none"}, "Valeurs possibles : 'full' ou 'half'."),
        ({"at": "2026-11-22T09:00:00"}, "Le fuseau horaire est obligatoire."),
        ({"guests": ["a", "b"]}, "Au plus 1 éléments."),
        ({"pets": 1}, "Ce champ n'existe pas ici."),
        ([], "Un objet est attendu."),
    ],
)
def test_what_is_wrong_is_said_in_french_and_pydantics_words_stay_in_english(given: Any, said: str) -> None:
    (error,) = errors(given)
    assert field_message(error, "fr") == said
    assert field_message(error, "en") == error["msg"]


def test_every_sentence_is_of_an_error_that_pydantic_has_and_of_figures_that_it_gives() -> None:
    known = {error["type"]: error.get("example_context") or {} for error in list_all_errors()}
    assert FRENCH.keys() <= known.keys()
    for kind, sentence in FRENCH.items():
        blanks = {name for _, name, _, _ in string.Formatter().parse(sentence) if name}
        assert blanks <= known[kind].keys(), kind


def test_an_error_that_is_new_has_a_sentence_all_the_same() -> None:
    assert field_message({"type": "never_heard_of", "msg": "x"}, "fr") == OTHERWISE
    assert field_message({"type": "enum", "msg": "x"}, "fr") == OTHERWISE
