"""Names that people give: what is kept of them."""

import pytest
from common.web import Body, OneLine
from pydantic import Field, ValidationError

pytestmark = pytest.mark.unit


class Guest(Body):
    name: OneLine = Field(min_length=1, max_length=20)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("  Awa   Ndiaye ", "Awa Ndiaye"),
        ("Awa\r\nBcc: x@y", "Awa Bcc: x@y"),
        ("\u202eawA\u2028Ndiaye\x07", "awA Ndiaye"),
        ("a\u200b b", "a b"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("Société «É» 中文 👩\u200d💻", "Société «É» 中文 👩\u200d💻"),
    ],
)
def test_a_name_is_one_line_of_signs_that_are_seen(given: str, kept: str) -> None:
    assert Guest(name=given).name == kept


@pytest.mark.parametrize("given", ["", " ", "\u200b", "\u200d \u200c", "\u202e\n", "x" * 21, "a\0b", 7, None])
def test_what_nobody_can_see_or_keep_is_no_name(given: object) -> None:
    with pytest.raises(ValidationError):
        Guest(name=given)
