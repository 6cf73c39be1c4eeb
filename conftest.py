"""Marks every test with its kind, told by its folder, and carries its invariants' numbers into the reports."""

from collections.abc import Iterable

import pytest
from hypothesis import settings

settings.register_profile("ebm", deadline=None)
settings.load_profile("ebm")
"""How long one example takes says how busy the machine is, not whether the code is right."""

KINDS = {"unit": "unit", "contract": "contract", "contracts": "contract", "e2e": "e2e", "architecture": "integration"}
"""Folder names that tell the kind; a test below none of them is an integration test: it may ask for any server."""


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    for item in items:
        kind = next((KINDS[part] for part in item.path.parts if part in KINDS), "integration")
        item.add_marker(kind)
        for marker in item.iter_markers("invariant"):
            item.user_properties.extend(("invariant", str(number)) for number in marker.args)
