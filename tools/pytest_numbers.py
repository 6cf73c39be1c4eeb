"""A pytest plugin for `tools/invariants.py`: only the tests of some invariants, the quickest first.

Loaded with `-p pytest_numbers`. End-to-end tests, contracts and long ones stay out.
"""

import json
import os
from pathlib import Path

import pytest

NUMBERS_SETTING = "EBM_TEST_NUMBERS"
"""Numbers with commas between; a test that proves none of them is left out."""
SECONDS_SETTING = "EBM_TEST_SECONDS"
"""Path of a file with how long each test took when it last ran, by its id, as JSON."""
KINDS = ("unit", "integration")
UNKNOWN_SECONDS = {"unit": 0.5, "integration": 5.0}


def _kind(item: pytest.Item) -> str | None:
    if item.get_closest_marker("long"):
        return None
    # The kind that the folder tells was added last; a file may say another.
    return next((kind for kind in KINDS if item.get_closest_marker(kind)), None)


def _proves(item: pytest.Item, wanted: set[str]) -> bool:
    return any(str(number) in wanted for marker in item.iter_markers("invariant") for number in marker.args)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = set(os.environ[NUMBERS_SETTING].split(","))
    file = os.environ.get(SECONDS_SETTING)
    seconds = json.loads(Path(file).read_text()) if file else {}
    chosen = [item for item in items if _kind(item) and _proves(item, wanted)]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = sorted(chosen, key=lambda item: seconds.get(item.nodeid, UNKNOWN_SECONDS[str(_kind(item))]))
