"""The form of API keys."""

import pytest
from tenancy.domain.api_keys import CHECKSUM_LENGTH, MARK, RANDOM_LENGTH, new_key, well_formed


def test_new_keys_differ_and_are_well_formed() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(map(well_formed, keys))
    assert {len(key) for key in keys} == {len(MARK) + RANDOM_LENGTH + CHECKSUM_LENGTH}


@pytest.mark.parametrize("place", [4, 20, 46, 47, 52])
def test_a_mistyped_letter_shows_without_asking_anybody(place: int) -> None:
    key = new_key()
    other = "0" if key[place] != "0" else "1"
    assert not well_formed(key[:place] + other + key[place + 1 :])


@pytest.mark.parametrize("key", ["", "ebm_", "ebm_x", "Bearer", "ebm_" + "0" * 49 + "é"])
def test_what_is_no_key_is_not_well_formed(key: str) -> None:
    assert not well_formed(key)
