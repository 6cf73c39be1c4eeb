import pytest
from devstack.bench.reasons import counted, grouped, kind_of

pytestmark = pytest.mark.unit

IDS = ("0193a1b2-0000-7000-8000-000000000001", "0193a1b2-0000-7000-8000-000000000002")


def test_reasons_that_differ_by_whose_they_are_are_one_kind():
    reasons = [f"no organization for thousand-{at}@xyz.example: order {name}" for at, name in enumerate(IDS)]
    assert grouped(reasons) == [(2, "no organization for <address>: order <id>", reasons[0])]


def test_every_kind_is_told_the_commonest_first():
    kinds = [chr(ord("a") + at) for at in range(9)]
    assert counted([*kinds, "a"]) == "2 × a, " + ", ".join(f"1 × {kind}" for kind in reversed(kinds[1:]))
    assert counted([]) == ""


def test_other_answers_are_other_kinds():
    assert kind_of("503 busy to POST /api/x/: {}") != kind_of("401 token_invalid to POST /api/x/: {}")
    assert kind_of("POST /x/: in 300 s 41 × 503 busy") == kind_of("POST /x/: in 300 s 7 × 503 busy")
