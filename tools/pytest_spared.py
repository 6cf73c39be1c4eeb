"""A pytest plugin for `tools/invariants.py`: leaves out tests that would tell again what others tell in less time.

Loaded with `-p pytest_spared`. Left out are end-to-end tests whose sentences cheaper tests prove as well, and of a test
with many cases those beyond the third, but for cases that have noticed a mutation. `make test` runs them all.
"""

from collections import Counter

import pytest
from mutating import read_killers

CHEAP = ("unit", "integration", "contract")
CASES = 3
"""Of a test with parameters; its sentence is proven by each of them."""


def _numbers(item: pytest.Item) -> set[str]:
    return {str(number) for marker in item.iter_markers("invariant") for number in marker.args}


def _is_cheap(item: pytest.Item) -> bool:
    # Crash tests are integration tests by their kind, and start a whole stack like the others of tests/.
    return "crashes" not in item.path.parts and any(item.get_closest_marker(kind) for kind in CHEAP)


def _further_cases(items: list[pytest.Item], wanted: set[str]) -> set[pytest.Item]:
    """The cases of each test after the first few, but for those that are wanted by their id."""
    seen: Counter[str] = Counter()
    further = set()
    for item in items:
        test = item.nodeid.partition("[")[0]
        seen[test] += 1
        if seen[test] > CASES and item.nodeid not in wanted:
            further.add(item)
    return further


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    proven: set[str] = set().union(*(_numbers(item) for item in items if _is_cheap(item)))
    spared = {item for item in items if not _is_cheap(item) and _numbers(item) and _numbers(item) <= proven}
    killers = set(read_killers(config.rootpath / "tools" / "mutations").values())
    spared |= _further_cases([item for item in items if _numbers(item)], killers)
    config.hook.pytest_deselected(items=list(spared))
    items[:] = [item for item in items if item not in spared]
