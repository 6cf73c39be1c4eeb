"""A pytest plugin for `tools/invariants.py`: leaves out end-to-end tests whose sentences cheaper tests prove as well.

Loaded with `-p pytest_spared`. `make test` runs them all; what they would tell here is told in a fraction of the time.
"""

import pytest

CHEAP = ("unit", "integration", "contract")


def _numbers(item: pytest.Item) -> set[str]:
    return {str(number) for marker in item.iter_markers("invariant") for number in marker.args}


def _is_cheap(item: pytest.Item) -> bool:
    # Crash tests are integration tests by their kind, and start a whole stack like the others of tests/.
    return "crashes" not in item.path.parts and any(item.get_closest_marker(kind) for kind in CHEAP)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    proven: set[str] = set().union(*(_numbers(item) for item in items if _is_cheap(item)))
    spared = {item for item in items if not _is_cheap(item) and _numbers(item) and _numbers(item) <= proven}
    config.hook.pytest_deselected(items=list(spared))
    items[:] = [item for item in items if item not in spared]
