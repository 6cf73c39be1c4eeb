"""Files whose tests share a running stack go to one worker, so that there is one such stack."""

import pytest
from pytest_one_stack import scope_of

pytestmark = pytest.mark.unit


def test_all_crash_tests_go_to_one_worker() -> None:
    assert scope_of("tests/crashes/test_servers.py::test_a[x::y]") == scope_of("tests/crashes/test_backups.py::test_b")


def test_other_tests_go_by_their_file() -> None:
    assert scope_of("tests/e2e/test_attacks.py::test_a[x::y]") == "tests/e2e/test_attacks.py"
    assert scope_of("libs/common/tests/unit/test_logs.py::test_b") == "libs/common/tests/unit/test_logs.py"
