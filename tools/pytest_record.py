"""A pytest plugin for `tools/test.py` and `tools/invariants.py`: what ran, as JSON, for whoever started pytest.

Loaded with `-p pytest_record`. It also leaves out the tests that need RabbitMQ where there is none, and says which:
they are not run, which is another thing than skipped.
"""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

RECORD_SETTING = "EBM_TEST_RECORD"
"""Path of the file to write."""
WITHOUT_SETTING = "EBM_TEST_WITHOUT_RABBITMQ"
"""Set when there is no RabbitMQ."""
KINDS = ("unit", "integration", "contract", "e2e")

_counts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
_invariants: dict[str, Counter[str]] = {}
_left_out: set[str] = set()
_broken: set[str] = set()
_failed: set[str] = set()
_proofs: dict[str, dict[str, Any]] = {}


def needs_rabbitmq(item: pytest.Item) -> bool:
    """Whether a test says by its file, its name or a fixture that it talks to RabbitMQ."""
    return "rabbit" in item.nodeid.lower() or any("rabbit" in name for name in getattr(item, "fixturenames", ()))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not os.environ.get(WITHOUT_SETTING):
        return
    left_out = [item for item in items if needs_rabbitmq(item)]
    if left_out:
        items[:] = [item for item in items if not needs_rabbitmq(item)]
        config.hook.pytest_deselected(items=left_out)
        # With xdist each worker collects, and none but the workers knows the items.
        _append_left_out(sorted({item.nodeid for item in left_out}))


def _append_left_out(names: list[str]) -> None:
    _left_out.update(names)
    with Path(f"{os.environ[RECORD_SETTING]}.left-out").open("a") as stream:
        stream.writelines(f"{name}\n" for name in names)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.failed:
        _broken.add(report.nodeid)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count a test once: by its call, or by the set-up or clean-up that failed or skipped it."""
    _note_proof(report)
    if report.when != "call" and report.passed:
        return
    kind = next((kind for kind in KINDS if kind in report.keywords), "integration")
    _counts[kind][report.outcome] += 1
    if report.failed:
        _failed.add(report.nodeid)
    if report.when == "teardown":
        # Its call was counted as passed already; a test that cannot clean up after itself has failed.
        _counts[kind]["passed"] -= 1
    for name, number in report.user_properties:
        if name == "invariant":
            _invariants.setdefault(str(number), Counter())[report.outcome] += 1


def _note_proof(report: pytest.TestReport) -> None:
    """What a test with invariants came to over its three phases, and the first line of what went wrong."""
    numbers = sorted({str(number) for name, number in report.user_properties if name == "invariant"})
    if not numbers:
        return
    proof = _proofs.setdefault(report.nodeid, {"numbers": numbers, "outcome": "passed", "seconds": 0.0})
    proof["seconds"] += report.duration
    if not report.passed and proof["outcome"] == "passed":
        crash = getattr(report.longrepr, "reprcrash", None)
        words = str(getattr(crash, "message", report.longrepr)).strip()
        proof |= {"outcome": report.outcome, "phase": report.when, "reason": words.partition("\n")[0][:300]}


def pytest_sessionfinish(session: pytest.Session) -> None:
    target = os.environ.get(RECORD_SETTING)
    if target is None or hasattr(session.config, "workerinput"):
        return
    record: dict[str, Any] = {
        "kinds": {kind: dict(counts) for kind, counts in _counts.items()},
        "invariants": {number: dict(counts) for number, counts in _invariants.items()},
        "broken": sorted(_broken),
        "failed": sorted(_failed),
        "proofs": _proofs,
    }
    Path(target).write_text(json.dumps(record))
