"""What `make invariants` leaves to `make test`: the further cases of tests that have many."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """All of a test that is looked at."""

    nodeid: str


def test_of_many_cases_the_first_few_are_run_and_those_that_noticed_a_mutation() -> None:
    from pytest_spared import CASES, _further_cases

    many = [f"a.py::test_one[{number}]" for number in range(CASES + 4)]
    few = [f"a.py::test_two[{number}]" for number in range(CASES)]
    items = [Case(name) for name in (*many, *few, "a.py::test_three", "b.py::test_one[0]")]
    further = {item.nodeid for item in items if item in _further_cases(items, wanted={many[-1]})}
    assert further == set(many[CASES:-1])
